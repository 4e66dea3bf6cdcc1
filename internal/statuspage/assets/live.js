// Keeps the parts of a page fresh: the server renders them and sends those that have changed. Without this file the page works,
// and shows the moment at which it was loaded.
(() => {
  "use strict";
  const button = document.getElementById("live");
  const address = document.body.dataset.events;
  const stale = document.getElementById("stale");
  const quiet = 4000; // milliseconds without a beat, of which there is one each second
  let source = null, paused = false, pressed = false, seen = 0, again = 0, waiting = new Map();

  // A part is left alone while somebody clicks or selects in it; the newest version follows.
  const busy = (place) => {
    const chosen = document.getSelection();
    return pressed || (chosen && !chosen.isCollapsed && place.contains(chosen.anchorNode));
  };
  // What a part shows is replaced; where somebody is in it, and how far it was scrolled, stays.
  const put = (place, html) => {
    const label = (e) => e.getAttribute("href") || e.getAttribute("aria-label");
    const named = (name) => [...place.querySelectorAll("a[href], .scroll")].filter((e) => label(e) === name);
    const focused = place.contains(document.activeElement) ? label(document.activeElement) : null;
    const which = focused ? named(focused).indexOf(document.activeElement) : -1; // a row may lead to one place twice
    const scrolled = [...place.querySelectorAll(".scroll")].map((e) => [label(e), e.scrollLeft, e.scrollTop]);
    const part = document.createElement("template");
    part.innerHTML = html;
    place.replaceChildren(part.content);
    for (const [name, left, top] of scrolled) {
      const [box] = named(name);
      if (box) { box.scrollLeft = left; box.scrollTop = top; }
    }
    const back = which >= 0 && named(focused)[which];
    if (back) back.focus({ preventScroll: true });
  };
  const settle = () => {
    for (const [name, html] of waiting) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (place && busy(place)) continue;
      waiting.delete(name);
      if (place) put(place, html);
    }
  };
  const say = (text) => {
    if (!button) return;
    button.hidden = false;
    button.textContent = text;
    button.setAttribute("aria-pressed", String(!paused));
  };
  const trouble = (why) => {
    say("○ Not live");
    if (!stale) return;
    const shown = document.querySelector("[data-part=state] time");
    const mark = document.createElement("b");
    mark.textContent = "! Not live";
    stale.replaceChildren(mark, ` This page shows what was at ${shown ? shown.textContent : "some time ago"}. `);
    if (why === "login") {
      const link = document.createElement("a");
      link.href = "/login?next=" + encodeURIComponent(location.pathname + location.search);
      link.textContent = "Log in again";
      stale.append("You are logged out. ", link);
    } else if (why === "busy") {
      stale.append("The gateway answers, but sends no news: it is about to end, or too many pages are open. This one asks again.");
    } else {
      stale.append("The gateway does not answer. The page goes on by itself when it does.");
    }
    stale.hidden = false;
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };
  const open = () => {
    close();
    if (paused || document.hidden) return;
    again = Date.now() + 5000; // not to be tried anew before
    source = new EventSource(address);
    source.addEventListener("part", (e) => {
      const { part, html } = JSON.parse(e.data);
      waiting.set(part, html);
      settle();
    });
    source.addEventListener("form", (e) => {
      for (const field of document.querySelectorAll("input[name=form]")) field.value = JSON.parse(e.data);
    });
    source.addEventListener("beat", () => {
      seen = Date.now();
      if (stale) stale.hidden = true;
      say("● Live");
      settle();
    });
  };
  // A connection that says nothing is no better than one that broke. A refused stream tells a script nothing of why, so another
  // request asks whether it is for want of a login.
  const watch = async () => {
    const late = () => Date.now() - seen >= quiet;
    if (paused || document.hidden || !late() || Date.now() < again) return;
    open();
    let why = "";
    try {
      const answer = await fetch("/keys", { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(3000) });
      why = answer.type === "opaqueredirect" ? "login" : "busy";
    } catch { /* nobody there */ }
    if (late()) trouble(why);
  };

  for (const copy of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
  if (!address || !window.EventSource) return;
  if (button) button.addEventListener("click", () => {
    paused = !paused;
    if (paused) { close(); say("‖ Paused"); } else { seen = Date.now(); open(); }
  });
  addEventListener("pointerdown", () => { pressed = true; });
  for (const up of ["pointerup", "pointercancel", "blur"]) addEventListener(up, () => setTimeout(() => { pressed = false; settle(); }, 0));
  document.addEventListener("visibilitychange", () => { seen = Date.now(); open(); });
  addEventListener("pagehide", close);
  seen = Date.now();
  open();
  setInterval(watch, 1000);
})();
