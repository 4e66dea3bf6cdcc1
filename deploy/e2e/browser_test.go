package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is one page of a browser, with all that it complained about and asked for.
type tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	said     []string // by the console, also about the policy
	requests []string
}

// chromium is the browser: what CHROMIUM names, else what Debian installs.
func chromium(t *testing.T) string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatal("no chromium: apt-get install chromium-headless-shell, or name it by CHROMIUM")
	return ""
}

func open(t *testing.T) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)))
	if os.Getuid() == 0 { // in CI; there the sandbox does not start
		options = append(options, chromedp.NoSandbox)
	}
	// Debian's command is a shell that waits for the browser: to end both, and all that the browser starts, they are one group.
	group := 0
	options = append(options, chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { group = cmd.Process.Pid; return syscall.Kill(-group, syscall.SIGKILL) }
	}))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(func() {
		stop()
		eventually(t, "end of the browser", func() bool { return group == 0 || syscall.Kill(-group, 0) == syscall.ESRCH })
	})
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	b := &tab{Context: ctx, t: t}
	chromedp.ListenTarget(ctx, b.listen)
	b.run(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		b.said = append(b.said, string(e.Entry.Source)+": "+e.Entry.Text)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// load opens a page of the gateway.
func (b *tab) load(g *gateway, path string) {
	b.t.Helper()
	b.run(chromedp.Navigate("http://" + g.admin + path))
}

// wait waits until a JavaScript expression is true.
func (b *tab) wait(what, expression string) time.Duration {
	b.t.Helper()
	start := time.Now()
	var ok bool
	if err := chromedp.Run(b, chromedp.Poll(expression, &ok, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(60*time.Second))); err != nil {
		var body string
		chromedp.Run(b, chromedp.Text("body", &body))
		b.t.Fatalf("%s: %v; the page says:\n%s", what, err, body)
	}
	return time.Since(start)
}

func (b *tab) eval(expression string, into any) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, into))
}

func (b *tab) text(selector string) (text string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("document.querySelector(%q).innerText", selector), &text)
	return text
}

// quiet checks that nothing was complained of, and that nothing was asked of another machine.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.said {
		b.t.Errorf("the browser says: %s", line)
	}
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Hostname() != "127.0.0.1" && u.Scheme != "about" {
			b.t.Errorf("a request to %s", r)
		}
	}
}

// size is that of the window, with the colours that the reader's system asks for.
func (b *tab) size(width, height int64, scheme string) {
	b.t.Helper()
	b.run(emulation.SetDeviceMetricsOverride(width, height, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

func has(text string) string { return fmt.Sprintf("document.body.innerText.includes(%q)", text) }

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

func collect() chromedp.Action { return heapprofiler.CollectGarbage() }

// executor is a context for commands that answer.
func executor(b *tab) context.Context {
	return cdp.WithExecutor(b, chromedp.FromContext(b).Target)
}
