// Keeps the parts of a page fresh: the server renders them and sends those that have changed. Without this file the page works,
// and shows the moment at which it was loaded.
(() => {
  "use strict";
  const button = document.getElementById("live");
  const address = document.body.dataset.events;
  let source = null, paused = false, pressed = false, retry = 0, waiting = new Map();

  // A part is left alone while somebody clicks or selects in it; the newest version follows.
  const busy = (place) => {
    const chosen = document.getSelection();
    return pressed || (chosen && !chosen.isCollapsed && place.contains(chosen.anchorNode));
  };
  const put = (place, html) => {
    const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const part = document.createElement("template");
    part.innerHTML = html;
    place.replaceChildren(part.content);
    if (focused) {
      const again = [...place.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === focused);
      if (again) again.focus({ preventScroll: true });
    }
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
  const close = () => {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  };
  const open = () => {
    close();
    if (paused || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("part", (e) => {
      const { part, html } = JSON.parse(e.data);
      waiting.set(part, html);
      settle();
    });
    source.addEventListener("beat", () => { say("● Live"); settle(); });
    source.onerror = () => {
      say("○ Not live");
      if (source && source.readyState === EventSource.CLOSED) retry = setTimeout(open, 5000);
    };
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
    if (paused) { close(); say("‖ Paused"); } else open();
  });
  addEventListener("pointerdown", () => { pressed = true; });
  for (const up of ["pointerup", "pointercancel", "blur"]) addEventListener(up, () => setTimeout(() => { pressed = false; settle(); }, 0));
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", close);
  open();
})();
