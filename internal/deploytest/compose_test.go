package deploytest

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/config"
)

type composeFile struct {
	Services map[string]struct {
		Image   string
		Build   struct{ Context, Dockerfile string }
		Command []string
		Ports   []string
		Volumes []string
		Secrets []struct{ Source, Target string }

		ReadOnly    bool              `yaml:"read_only"`
		CapDrop     []string          `yaml:"cap_drop"`
		DependsOn   []string          `yaml:"depends_on"`
		Environment map[string]string `yaml:"environment"`
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

// setUp copies deploy/ and runs its setup there, as a person would.
func setUp(t *testing.T) (dir, said string) {
	t.Helper()
	tool(t, "openssl")
	dir = filepath.Join(t.TempDir(), "deploy")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "deploy"))); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(dir, "compose/secrets")) // of somebody who uses it here
	os.Remove(filepath.Join(dir, "compose/gatehouse/clients.yaml"))
	return dir, run(t, dir, "sh", "compose/setup")
}

// What compose mounts is there once setup has run, every image has a tag, nothing but loopback is open, and a secret lies in
// no file of the repository.
func TestCompose(t *testing.T) {
	dir, _ := setUp(t)
	var c composeFile
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		if !regexp.MustCompile(`^[a-z/]+:[a-z0-9.-]+$`).MatchString(s.Image) || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s: the image %q has no tag", name, s.Image)
		}
		if s.Build.Context != "" {
			if _, err := os.Stat(filepath.Join(root, "deploy", s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" {
				t.Errorf("%s can write to its root, or has capabilities", name)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to the network", name, p)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, from)); err != nil || !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s mounts %s, which is not there or can be written to: %v", name, v, err)
			}
		}
		for _, secret := range s.Secrets {
			file := c.Secrets[secret.Source].File
			if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || len(b) < 32 {
				t.Errorf("%s: secret %s: %v", name, secret.Source, err)
			}
			if filepath.Base(file) != secret.Target {
				t.Errorf("%s: %s is mounted as %s", name, file, secret.Target)
			}
		}
		for _, on := range s.DependsOn {
			if _, ok := c.Services[on]; !ok {
				t.Errorf("%s depends on %s", name, on)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "compose/secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("secrets/ has the mode %v: %v", info.Mode(), err)
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "compose/setup")).CombinedOutput(); err == nil {
		t.Errorf("setup overwrites what is there: %s", out)
	}
	ignore := read(t, ".gitignore")
	for _, made := range []string{"/deploy/compose/secrets/", "/deploy/compose/gatehouse/clients.yaml"} {
		if !strings.Contains(ignore, made+"\n") {
			t.Errorf("git does not ignore %s", made)
		}
	}
}

// Prometheus accepts its configuration, and Grafana's names fit what is mounted.
func TestComposeMonitoring(t *testing.T) {
	dir, _ := setUp(t)
	file := filepath.Join(dir, "compose/prometheus.yml")
	local(t, file, "/etc/prometheus/alerts.yaml", filepath.Join(dir, "prometheus/alerts.yaml"))
	if out := run(t, dir, tool(t, "promtool"), "check", "config", file); !strings.Contains(out, "SUCCESS") {
		t.Errorf("promtool check config says:\n%s", out)
	}
	for path, want := range map[string]string{
		"deploy/grafana/provisioning/dashboards/gatehouse.yaml":   "path: /var/lib/grafana/dashboards}",
		"deploy/grafana/provisioning/datasources/prometheus.yaml": "url: http://prometheus:9090\n",
		"deploy/compose.yaml": "/var/lib/grafana/dashboards/gatehouse.json:ro",
	} {
		text := read(t, path)
		if err := yaml.Unmarshal([]byte(text), new(map[string]any)); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s lacks %q: %v", path, want, err)
		}
	}
}

// local puts addresses and paths of this machine in place of the containers'.
func local(t *testing.T, file string, oldnew ...string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(b), oldnew[i]) {
			t.Errorf("%s does not hold %s", file, oldnew[i])
		}
	}
	write(t, file, strings.NewReplacer(oldnew...).Replace(string(b)))
}

// The files of compose do what they say, with each program run on this machine: Redis by its file, the demo API, the gateway.
// The lines that setup prints get a token, an answer and a refusal.
func TestComposeServes(t *testing.T) {
	dir, said := setUp(t)
	secrets := filepath.Join(dir, "compose/secrets")
	redisConf := filepath.Join(dir, "compose/redis.conf")
	local(t, redisConf, "/run/secrets", secrets, "/data", t.TempDir())
	port := func() string { return strconv.Itoa(freePort(t)) }
	redis, public, admin := port(), port(), port()
	start(t, "(Ready to accept connections)", tool(t, "redis-server"), redisConf, "--port", redis, "--bind", "127.0.0.1")
	api := start(t, "listens on (\\S+)", program(t), "demo-api", "--listen", "127.0.0.1:0")
	file := filepath.Join(dir, "compose/gatehouse/config.yaml")
	local(t, file, "/run/secrets", secrets, "redis:6379", "127.0.0.1:"+redis, "demo-api:9000", api, stateDir, filepath.Join(t.TempDir(), "state"),
		`":8080"`, `":`+public+`"`, "localhost:8080", "localhost:"+public, `":8081"`, `":`+admin+`"`)
	if _, err := config.Load(file, config.Options{}); err != nil {
		t.Fatal(err)
	}
	start(t, `"msg":"(ready)"`, program(t), "run", "-c", file)
	if !eventually(func() bool { return exec.Command(program(t), "healthcheck", "--ready", "-c", file).Run() == nil }) {
		t.Fatal("the health check never passes")
	}
	_, lines, _ := strings.Cut(said, "up:\n")
	out := run(t, dir, "sh", "-c", strings.ReplaceAll(lines, "localhost:8080", "localhost:"+public))
	for _, want := range []string{`"message":"hello from behind Gatehouse"`, `"client":"demo"`, "403 Forbidden", `"reason":"insufficient_scope"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the printed lines got no %s:\n%s", want, out)
		}
	}
	res, err := http.Get("http://127.0.0.1:" + admin + "/metrics") // as Prometheus asks: without a token
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("metrics: %v %v", res, err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	text.ReadFrom(res.Body)
	if !strings.Contains(text.String(), "gatehouse_redis_up 1\n") {
		t.Error("Redis is not up")
	}
}

// start runs a program until the test ends, and returns what its output has in the parentheses of ready.
func start(t *testing.T, ready, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	re := regexp.MustCompile(ready)
	if !eventually(func() bool { return re.MatchString(log.String()) }) {
		t.Fatalf("%s %v printed\n%s", name, args, log.String())
	}
	return re.FindStringSubmatch(log.String())[1]
}

// buffer is a stream that a test reads while a process writes it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
