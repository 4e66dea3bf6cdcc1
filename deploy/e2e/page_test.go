package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

var pages = []string{"/", "/routes", "/denials", "/clients", "/clients/one?id=billing-worker", "/keys"}

// traffic is some of everything, for pages that are worth looking at.
func traffic(g *gateway) {
	token := g.token()
	for i := range 40 {
		g.call("GET", fmt.Sprintf("/orders/%d", i), token)
	}
	g.call("GET", "/health", "")
	g.call("POST", "/orders", token)
	g.call("GET", "/order", token)
	g.call("GET", "/orders/1", "")
	g.call("GET", "/orders/1", "nonsense")
	g.call("DELETE", "/orders/1", token)
}

// Nothing is complained of on any page, and nothing is asked of another machine.
func TestQuiet(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	traffic(g)
	for _, page := range pages {
		b.load(g, page)
		b.wait(page+" is live", isLive)
		b.wait("a second round", `new Promise(done => setTimeout(() => done(true), 1100))`)
	}
	b.quiet()
}

// A refusal appears by itself, and its trace is that of the command.
func TestDenialAppears(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	b.load(g, "/denials")
	b.wait("live", isLive)
	token := g.token()
	g.call("GET", "/orders/1", token)
	var id string
	prompt(t, "the refusal", 2*time.Second, func() time.Duration {
		status, next := g.call("POST", "/orders", token)
		if id = next; status != 403 {
			t.Fatalf("%d", status)
		}
		return b.wait("the refusal", has(id))
	})
	b.run(chromedp.Click(fmt.Sprintf(`a[href="/denials/%s"]`, id)), chromedp.WaitVisible("#trace"))
	near := 0
	_, noRoute := g.call("GET", "/order", token)
	_, noToken := g.call("GET", "/orders/1", "")
	_, noSense := g.call("GET", "/orders/1", "nonsense")
	for _, id := range []string{id, noRoute, noToken, noSense} {
		b.load(g, "/denials/"+id)
		want, got := explained(t, g, id), b.trace()
		if near += len(want.Near); len(want.Steps) < 5 || want.Detail == "" || want.Reason == "" || !reflect.DeepEqual(got, want) {
			t.Errorf("the page has\n%+v\nexplain has\n%+v", got, want)
		}
	}
	if near == 0 {
		t.Error("no refusal has a near miss")
	}
	b.quiet()
}

// prompt holds what took so long to the time it may take, in one of three tries: the machine may have other things to do.
func prompt(t *testing.T, what string, limit time.Duration, try func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 3 {
		took = append(took, try())
		if took[len(took)-1] <= limit {
			return
		}
	}
	t.Errorf("%s took %v to appear, want %v", what, took, limit)
}

// shown is what page and command tell of a decision.
type shown struct {
	Verdict, Reason, Detail string
	Status                  int
	Steps                   []struct{ Check, Outcome, Fact, Where string }
	Why, Near               []struct{ Text, Where string }
	Fix, Notes              []string
}

func explained(t *testing.T, g *gateway, id string) (s shown) {
	t.Helper()
	out, err := exec.Command(program, "explain", id, "-o", "json", "-c", filepath.Join(g.dir, "config.yaml")).Output()
	var exit *exec.ExitError
	if err != nil && (!asExit(err, &exit) || exit.ExitCode() != 4) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return s
}

// trace reads what the page of a denial says. Lists that are empty are nil, as those that JSON leaves out.
func (b *tab) trace() (s shown) {
	b.t.Helper()
	b.eval(`(() => {
		const text = (e, s) => e.querySelector(s)?.textContent ?? "", all = (s, of) => { const list = [...document.querySelectorAll("#trace " + s)].map(of); return list.length ? list : null; };
		const line = p => ({ text: text(p, "bdi"), where: text(p, ".place") }), verdict = document.querySelector("#trace .verdict");
		return { verdict: verdict.classList[1], reason: text(verdict, "span + code"), status: +text(verdict, ".num"), detail: text(document, "#trace .detail"),
			steps: all(".steps tbody tr", r => ({ check: r.dataset.check, outcome: r.dataset.outcome, fact: text(r, ".fact"), where: text(r, ".place") })),
			why: all(".why p", line), near: all(".near p", line), fix: all(".fix p", p => p.textContent), notes: all(".notes p", p => p.textContent) };
	})()`, &s)
	return s
}

func asExit(err error, to **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*to = e
	return ok
}

// A reload that is refused shows its place, until the file is mended.
func TestBrokenReload(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	b.load(g, "/")
	text, err := os.ReadFile(filepath.Join(g.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g.write("config.yaml", strings.Replace(string(text), "scopes: [orders:write]", "scopes: [order:write]", 1))
	b.wait("the red banner", `!!document.querySelector(".banner.red")`)
	contains(t, "the banner", b.text(".banner.red"), "✗ Error", "config.yaml:13:", `did you mean "orders:write"?`)
	g.write("config.yaml", string(text))
	b.wait("no banner", `!document.querySelector(".banner.red")`)
	b.quiet()
}

// Redis goes and comes back.
func TestRedisDown(t *testing.T) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("no redis-server: make redis")
	}
	address := free(t)
	_, port, _ := strings.Cut(address, ":")
	dir := t.TempDir()
	run := func() *exec.Cmd {
		cmd := exec.Command(server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	redis := run()
	g := newGateway(t)
	g.write("ring.key", base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n")
	g.extra = fmt.Sprintf("state: {redis: {addrs: [%q]}}\ntokens: {ring_key_file: ring.key}\n", address)
	g.start()
	b := open(t)
	b.load(g, "/")
	b.wait("Redis is up", has("✓ up"))
	prompt(t, "the banner", 3*time.Second, func() time.Duration {
		if redis == nil {
			redis = run()
			b.wait("no banner", `!document.querySelector(".banner.red")`)
		}
		redis.Process.Kill()
		redis.Wait()
		redis = nil
		return b.wait("the banner", `[...document.querySelectorAll(".banner.red")].some(x => x.innerText.includes("Redis is down"))`)
	})
	if res, err := http.Get("http://" + g.admin + "/-/ready"); err != nil || res.StatusCode != 200 { // limits: local, revocation.max_staleness: 10m
		t.Errorf("readiness without Redis: %v %v", res, err)
	}
	run()
	b.wait("no banner", `!document.querySelector(".banner.red")`)
	b.quiet()
}

// What strangers send, and what the configuration holds, stays text.
func TestHostileData(t *testing.T) {
	g := newGateway(t)
	const id = `<script>alert(1)</script>`
	g.clients = fmt.Sprintf("  %q:\n    disabled: true\n  %q:\n    grants: {orders: [orders:read]}\n", id, strings.Repeat("w", 128))
	g.start()
	b := open(t)
	for _, path := range []string{"/" + url.PathEscape(`"><script>alert(1)</script>`), "/%E2%80%AEgnp.exe", "/" + strings.Repeat("a", 8<<10), "/orders/" + url.PathEscape(`<img src=x onerror=alert(1)>`)} {
		g.call("GET", path, "")
	}
	for _, width := range []int64{360, 1280} {
		b.size(width, 800, "light")
		for _, page := range append(pages, "/clients/one?id="+url.QueryEscape(id)) {
			b.load(g, page)
			b.wait("live", isLive)
			var found struct{ Scripts, Pictures, Wide int }
			b.eval(`({ scripts: document.querySelectorAll("script").length, pictures: document.querySelectorAll("img").length, wide: document.documentElement.scrollWidth - innerWidth })`, &found)
			if found.Scripts != 1 || found.Pictures != 0 || found.Wide > 0 {
				t.Errorf("%s at %d: %+v", page, width, found)
			}
		}
	}
	b.load(g, "/clients")
	contains(t, "clients", b.text("main"), id)
	b.quiet()
}

// Pages of others reach nothing.
func TestOtherOrigins(t *testing.T) {
	g := newGateway(t)
	g.write("admin.token", "a-token-of-some-length-for-these-tests\n")
	g.adminExtra = ", token_file: admin.token"
	g.start()
	evil := httpServer(t, fmt.Sprintf(`<form id=f method=post action="http://%s/reload"><input name=confirm value=yes></form><script>f.submit()</script>`, g.admin))
	b := open(t)
	b.run(chromedp.Navigate(strings.Replace(evil, "127.0.0.1", "localhost", 1)))
	b.wait("the refusal", has("requests from other origins are refused"))
	for _, tc := range []struct {
		what, host string
		want       int
	}{{"another Host", "evil.example", 403}, {"no login", "", 401}} {
		req, _ := http.NewRequest("POST", "http://"+g.admin+"/reload", strings.NewReader("confirm=yes"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tc.host != "" {
			req.Host = tc.host
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.what, res.StatusCode, tc.want)
		}
	}
	// The login, an act, and the way out.
	b = open(t)
	b.load(g, "/keys")
	b.run(chromedp.SendKeys("#token", "a-token-of-some-length-for-these-tests"), chromedp.Click("main button"), chromedp.WaitVisible("#alg"))
	b.run(chromedp.Click(".action button"), chromedp.WaitVisible("#reason"), chromedp.SendKeys("#reason", "a test"), chromedp.Click("button.danger"), chromedp.WaitVisible(".note"))
	contains(t, "the note", b.text(".note"), "✓ Done", "Rotated.")
	b.wait("the new key", has("○ next"))
	b.run(chromedp.Click("form[action='/logout'] button"), chromedp.WaitVisible("#token"))
	b.quiet()
}

func httpServer(t *testing.T, page string) string {
	l := free(t)
	s := &http.Server{Addr: l, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	})}
	go s.ListenAndServe()
	t.Cleanup(func() { s.Close() })
	eventually(t, "the other page", func() bool {
		res, err := http.Get("http://" + l)
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	})
	return "http://" + l
}

// The gateway ends and begins anew under an open page: the page says since when it is not live, goes on by itself, and its forms
// do what they say.
func TestRestart(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	b.load(g, "/keys")
	b.wait("live", isLive)
	b.eval(`document.getElementById("live").dataset.mark = "the same page"`, nil)
	g.stop()
	b.wait("the notice", `!document.getElementById("stale").hidden`)
	contains(t, "the notice", b.text("#stale"), "! Not live", "UTC", "The gateway does not answer")
	if text := b.text("#live"); text != "○ Not live" {
		t.Errorf("the button says %q", text)
	}
	g.run()
	b.wait("live again", isLive+` && document.getElementById("stale").hidden && document.getElementById("live").dataset.mark === "the same page"`)
	b.run(chromedp.Click(".action button"), chromedp.WaitVisible("#reason"), chromedp.Click("button.danger"), chromedp.WaitVisible(".note"))
	contains(t, "the note", b.text(".note"), "✓ Done", "Rotated.")
}

const isLive = `document.getElementById("live").textContent.includes("Live") && !document.getElementById("live").textContent.includes("Not")`

// Where one tab logs out, the other says so, and leads to the login and back.
func TestLoggedOutElsewhere(t *testing.T) {
	g := newGateway(t)
	const token = "a-token-of-some-length-for-these-tests"
	g.write("admin.token", token+"\n")
	g.adminExtra = ", token_file: admin.token"
	g.start()
	b := open(t)
	b.load(g, "/denials?q=expired")
	b.run(chromedp.SendKeys("#token", token), chromedp.Click("main button"), chromedp.WaitVisible("#q"))
	b.wait("live", isLive)
	b.eval(`fetch("/logout", { method: "POST", body: new URLSearchParams({ form: document.querySelector("[name=form]").value }) }).then(() => true)`, nil)
	b.wait("the notice", `!document.getElementById("stale").hidden && document.getElementById("stale").innerText.includes("You are logged out")`)
	b.run(chromedp.Click("#stale a"), chromedp.WaitVisible("#token"), chromedp.SendKeys("#token", token), chromedp.Click("main button"), chromedp.WaitVisible("#q"))
	var at string
	b.eval("location.pathname + location.search", &at)
	if at != "/denials?q=expired" {
		t.Errorf("the login leads to %s", at)
	}
}

// A row leads to its refusal twice, by the time and by the id: the one that has the focus keeps it while rows come.
func TestUpdatesKeepTheFocus(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	_, first := g.call("GET", "/nowhere", "")
	b.load(g, "/denials")
	b.wait("live", isLive)
	b.eval(`document.querySelector("td a code").parentElement.focus()`, nil)
	_, second := g.call("GET", "/nowhere", "")
	b.wait("the next row", has(second))
	var at string
	b.eval(`document.activeElement.querySelector("code")?.textContent ?? document.activeElement.outerHTML`, &at)
	if at != first {
		t.Errorf("the focus is at %s, not at the id %s", at, first)
	}
}

// What moves on a page leaves a reader where they are: a table that was scrolled stays so, and what has the focus keeps it.
func TestUpdatesLeaveTheReaderAlone(t *testing.T) {
	held := make(chan struct{}) // the upstream answers when it is told to, so that its requests in flight change
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	t.Cleanup(api.Close)
	g := newGateway(t)
	g.upstream = api.URL
	for i := range 60 {
		g.routes += fmt.Sprintf("      - {match: GET /things/%d, scopes: [orders:read]}\n", i)
	}
	g.start()
	b, token := open(t), g.token()
	for _, at := range []struct {
		page, box string
		width     int64
	}{{"/", `[aria-label="Upstreams"]`, 360}, {"/routes", `[aria-label="Routes"]`, 360}, {"/routes", `[aria-label="Routes"]`, 1280}} {
		b.size(at.width, 900, "light")
		b.load(g, at.page)
		b.wait("live", isLive)
		var was, is struct {
			Left, Top int
			Focus     bool
		}
		b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollLeft = 40; e.scrollTop = 200; e.focus({ preventScroll: true }); e.firstElementChild.dataset.old = "";
			return { left: e.scrollLeft, top: e.scrollTop, focus: document.activeElement === e }; })()`, at.box), &was)
		if !was.Focus || was.Left == 0 && was.Top == 0 {
			t.Errorf("%+v: it does not scroll: %+v", at, was)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); g.call("GET", "/things/1", token) }()
		b.wait("another table", fmt.Sprintf(`!("old" in document.querySelector(%q).firstElementChild.dataset)`, at.box))
		held <- struct{}{}
		<-ended
		b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); return { left: e.scrollLeft, top: e.scrollTop, focus: document.activeElement === e }; })()`, at.box), &is)
		if is != was {
			t.Errorf("%+v: %+v became %+v", at, was, is)
		}
	}
	b.quiet()
}

// Without JavaScript every table is there, and every act.
func TestWithoutJavaScript(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	traffic(g)
	b.run(emulation.SetScriptExecutionDisabled(true))
	for page, wanted := range map[string][]string{
		"/": {"Requests", "p99", "insufficient_scope", "Configuration"}, "/routes": {"GET /orders/{id}", "orders:write", "config.yaml:"}, "/denials": {"insufficient_scope", "no_route", "billing-worker"},
		"/clients": {"billing-worker", "orders: orders:read"}, "/keys": {"ES256", "● current"},
	} {
		b.load(g, page)
		var text string
		b.run(chromedp.Text("main", &text))
		contains(t, page, text, wanted...)
	}
	b.load(g, "/clients/one?id=billing-worker")
	b.run(chromedp.Click("button.danger"), chromedp.WaitVisible("#reason"), chromedp.Click("button.danger"), chromedp.WaitVisible(".note"))
	var text string
	b.run(chromedp.Text(".note", &text))
	contains(t, "the note", text, "✓ Done", "billing-worker")
	b.quiet()
}

// What a reader who can't see, or sees little, relies on, also where a page has errors and warnings to tell.
func TestReadable(t *testing.T) {
	g := newGateway(t)
	g.routes = "      - {match: GET /tried, scopes: [orders:read], mode: observe}\n"
	g.start()
	b := open(t)
	traffic(g)
	_, id := g.call("POST", "/orders", g.token())
	b.load(g, "/")
	g.write("config.yaml", g.config()+"nonsense: 1\n")
	b.wait("the banners", `!!document.querySelector(".banner.red") && !!document.querySelector(".banner.amber:not([hidden])")`)
	for _, scheme := range []string{"light", "dark"} {
		b.size(1280, 900, scheme)
		for _, page := range append(pages, "/denials/"+id, "/routes?sort=p95", "/routes?q=nothing", "/login", "/nowhere") {
			b.load(g, page)
			b.audit(page + ", " + scheme)
		}
		b.load(g, "/keys")
		b.run(chromedp.Click(".action button"), chromedp.WaitVisible("#reason"))
		b.audit("the question, " + scheme)
		b.run(chromedp.Click("button.danger"), chromedp.WaitVisible(".note"))
		b.audit("the note, " + scheme)
		b.load(g, "/routes")
		b.run(chromedp.SendKeys("#url", "/orders/1"), chromedp.Click("#try button"), chromedp.WaitVisible(".trace"))
		b.audit("an answer, " + scheme)
	}
}

func (b *tab) audit(what string) {
	b.t.Helper()
	var bad []string
	b.eval(audit, &bad)
	for _, x := range bad {
		b.t.Errorf("%s: %s", what, x)
	}
}

// audit looks for fields without a label, buttons and links without a text, pictures without a name, headings that skip, focus
// that does not show, an order of the keyboard that is not that of the page, and less contrast than WCAG AA asks for: 4.5 for
// text, 3 for the edges of fields and the lines and bands of charts.
const audit = `(() => {
	const bad = [], name = e => (e.outerHTML || "").slice(0, 100);
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) if (!e.labels.length) bad.push("no label: " + name(e));
	for (const e of document.querySelectorAll("a, button")) if (!e.textContent.trim()) bad.push("no text: " + name(e));
	for (const e of document.querySelectorAll("svg")) if (!e.getAttribute("aria-label") && !e.getAttribute("aria-hidden")) bad.push("no name: " + name(e));
	for (const e of document.querySelectorAll("th")) if (!e.scope) bad.push("no scope: " + name(e));
	if (document.querySelectorAll("h1").length !== 1) bad.push("headings of the first level: " + document.querySelectorAll("h1").length);
	if (!document.documentElement.lang) bad.push("no language");
	const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
	const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), seen = new Set();
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.textContent.trim() || seen.has(e) || !e.checkVisibility()) continue;
		seen.add(e);
		const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) bad.push("contrast " + ratio.toFixed(2) + ": " + name(e));
	}
	const contrast = (x, y) => { const a = light(x), b = light(y); return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); };
	const px = c => { const k = document.createElement("canvas").getContext("2d"); k.fillStyle = c; k.fillRect(0, 0, 1, 1); return [...k.getImageData(0, 0, 1, 1).data].slice(0, 3); };
	const edge = (e, c, what) => { const r = contrast(px(c), behind(e.parentElement)); if (r < 3) bad.push(what + " " + r.toFixed(2) + ": " + name(e)); };
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) edge(e, getComputedStyle(e).borderTopColor, "edge");
	for (const e of document.querySelectorAll("path.line:not(.edge)")) edge(e, getComputedStyle(e).stroke, "line");
	for (const e of document.querySelectorAll("path.fill:not(.s1)")) edge(e, getComputedStyle(e).fill, "band");
	for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) bad.push("order: " + name(e));
	for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, [tabindex]")) {
		if (!e.checkVisibility()) continue;
		e.focus({ preventScroll: true, focusVisible: true });
		if (document.activeElement === e && getComputedStyle(e).outlineStyle === "none") bad.push("focus does not show: " + name(e));
	}
	let level = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) { const n = +h.tagName[1]; if (n > level + 1) bad.push("skips a level: " + name(h)); level = n; }
	return bad;
})()`

// Every page in every width and theme: nothing sticks out. The pictures go to the folder that SCREENSHOTS names.
func TestScreens(t *testing.T) {
	g, b := newGateway(t).start(), open(t)
	traffic(g)
	_, id := g.call("POST", "/orders", g.token())
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.size(width, 900, scheme)
			for _, page := range append(pages, "/denials/"+id) {
				b.load(g, page)
				var over int
				b.eval("document.documentElement.scrollWidth - innerWidth", &over)
				if over > 0 {
					t.Errorf("%s at %d px is %d px too wide", page, width, over)
				}
				var picture []byte
				b.run(chromedp.FullScreenshot(&picture, 100))
				name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-", id, "one").Replace(page), "-")
				if name == "" {
					name = "overview"
				}
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// An open page under a storm of refusals costs the browser no more at the end than at the beginning, and the gateway little.
// GATEHOUSE_E2E_SOAK makes it longer, such as 10m.
func TestSoak(t *testing.T) {
	long := 8 * time.Second
	if text := os.Getenv("GATEHOUSE_E2E_SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	g, b := newGateway(t).start(), open(t)
	b.load(g, "/denials")
	b.wait("live", isLive)
	storm := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			for range 100 {
				g.call("GET", "/nowhere", "")
			}
		}
	}
	storm(long / 4)
	first, nodes := heap(b)
	storm(long * 3 / 4)
	last, more := heap(b)
	b.wait("live, after all that", isLive+` && document.getElementById("stale").hidden`)
	if memory := g.memory(); memory > 300<<20 {
		t.Errorf("the gateway uses %d MiB", memory>>20)
	}
	t.Logf("heap %.1f MiB, then %.1f MiB; %v nodes, then %v", first/(1<<20), last/(1<<20), nodes, more)
	if last > first*2+8<<20 || more > nodes*2+5000 {
		t.Errorf("the tab grows: heap %.0f, then %.0f; nodes %v, then %v", first, last, nodes, more)
	}
	b.quiet()
}

// heap is what the tab uses after it has been cleaned up.
func heap(b *tab) (bytes, nodes float64) {
	b.t.Helper()
	b.run(performance.Enable(), collect())
	metrics, err := performance.GetMetrics().Do(executor(b))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range metrics {
		switch m.Name {
		case "JSHeapUsedSize":
			bytes = m.Value
		case "Nodes":
			nodes = m.Value
		}
	}
	return bytes, nodes
}
