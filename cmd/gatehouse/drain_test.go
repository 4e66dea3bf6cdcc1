package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the command: started with this in its environment, or by the name gatehouse, as scripts do,
// it is gatehouse.
func TestMain(m *testing.M) {
	if os.Getenv("GATEHOUSE_TEST_IS_COMMAND") != "" {
		main()
	}
	typed := os.Args[0] // what init tells people to type
	testscript.Main(m, map[string]func(){"gatehouse": func() { os.Args[0] = typed; main() }})
}

const drainConfig = `version: 1
server: {listen: "127.0.0.1:0", public_url: http://127.0.0.1:8080, drain: 20s}
admin: {listen: "127.0.0.1:0"}
clients_file: clients.yaml
apis:
  a:
    audience: https://api.example.com/a
    upstream: %s
    routes:
      - {match: "POST /{path...}", auth: public}
log: {level: %s}
`

// process is a gatehouse in a process of its own.
type process struct {
	*exec.Cmd
	log           *output
	public, admin string
}

func startProcess(t *testing.T, upstream string) *process {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.yaml": fmt.Sprintf(drainConfig, upstream, "info"), "clients.yaml": "version: 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &process{Cmd: exec.Command(os.Args[0], "run", "-c", filepath.Join(dir, "config.yaml")), log: &output{}}
	p.Env = append(os.Environ(), "GATEHOUSE_TEST_IS_COMMAND=1")
	p.Stderr = p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	ready := regexp.MustCompile(`"listen":"([^"]+)","admin":"([^"]+)"`)
	waitFor(t, func() bool { return ready.MatchString(p.log.String()) })
	m := ready.FindStringSubmatch(p.log.String())
	p.public, p.admin = m[1], m[2]
	return p
}

// TestTermUnderLoad: SIGTERM while clients call, on connections that they keep and on new ones. What was accepted is answered
// in whole, and the process ends by itself with 0. A POST is not repeated by the client, so that one that fails shows.
func TestTermUnderLoad(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/slow" {
			w.Write(body)
			http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
		w.Write(body)
	}))
	t.Cleanup(api.Close)
	p := startProcess(t, api.URL)
	var mu sync.Mutex
	var wg sync.WaitGroup
	calls, failed := 0, []string{}
	worker := func(path string, keep bool) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
		defer client.CloseIdleConnections()
		for {
			err := post(client, "http://"+p.public+path)
			if errors.Is(err, syscall.ECONNREFUSED) {
				return // nobody listens any more, and nothing was sent
			}
			mu.Lock()
			calls++
			if err != nil {
				failed = append(failed, path+": "+err.Error())
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}
	for i := range 12 {
		path := "/fast"
		if i%3 == 0 {
			path = "/slow"
		}
		wg.Go(func() { worker(path, i%4 != 0) })
	}
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return calls > 300 })
	start := time.Now()
	p.Process.Signal(syscall.SIGTERM)
	wg.Wait()
	if err := p.Wait(); err != nil {
		t.Errorf("the process ended with %v\n%s", err, p.log)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d calls failed: %.500q", len(failed), calls, failed)
		for line := range strings.Lines(p.log.String()) {
			if !strings.Contains(line, `"status":200`) || strings.Contains(line, "upstream_error") {
				t.Log(line)
			}
		}
	}
	t.Logf("%d calls, ended after %s", calls, time.Since(start).Round(time.Millisecond))
}

func post(client *http.Client, url string) error {
	sent := strings.Repeat("x", 100)
	res, err := client.Post(url, "text/plain", strings.NewReader(sent))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != 200 || !bytes.HasSuffix(got, []byte(sent))) {
		err = fmt.Errorf("status %d, %d bytes", res.StatusCode, len(got))
	}
	return err
}
