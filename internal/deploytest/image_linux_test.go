package deploytest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const imageConfig = `version: 1
server: {listen: "127.0.0.1:%d", public_url: http://127.0.0.1:8080}
admin: {listen: "127.0.0.1:%d"}
state: {dir: /var/lib/gatehouse}
clients_file: clients.yaml
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: http://127.0.0.1:9
    scopes: {orders:read: Read}
    routes: [{match: GET /orders, scopes: [orders:read]}]
`

// The image's binary needs nothing of the system, and serves as uid 65532 on a root that can't be written to.
func TestImageRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program anew")
	}
	dir := image(t)
	static(t, filepath.Join(dir, "gatehouse"))
	if out := run(t, dir, filepath.Join(dir, "gatehouse"), "version"); !strings.Contains(out, "v1.2.3-image") {
		t.Errorf("the version is %s, want that of the build argument", out)
	}
	if os.Getuid() != 0 {
		unable(t, "only root can take the part of a container engine")
	}
	unshare := tool(t, "unshare")
	if out, err := exec.Command(unshare, "--mount", "true").CombinedOutput(); err != nil {
		unable(t, "no mount namespaces here: "+string(out))
	}
	write(t, filepath.Join(dir, "etc/gatehouse/config.yaml"), fmt.Sprintf(imageConfig, freePort(t), freePort(t)))
	write(t, filepath.Join(dir, "etc/gatehouse/clients.yaml"), "version: 1\n")
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, "home"), 0o777) // that nothing is written here is due to the mount alone
	const contain = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$1` + stateDir + `" "$1` + stateDir + `"
mount -o remount,bind,ro "$1"
if touch "$1/home/x" 2>/dev/null; then echo "the root can be written to" >&2; exit 99; fi
exec chroot --userspec=65532:65532 "$1" /gatehouse run`
	cmd := exec.Command(unshare, "--mount", "sh", "-c", contain, "sh", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	health := func() error {
		check := exec.Command("/gatehouse", "healthcheck", "--ready")
		check.Dir = "/"
		check.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return check.Run()
	}
	for end := time.Now().Add(time.Minute); health() != nil; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("the image ended with %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			<-ended
			t.Fatalf("the image never became healthy\n%s", log.String())
		}
	}
	if user, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err != nil || !strings.Contains(string(user), "\nUid:\t65532\t65532\t65532\t65532\n") {
		t.Errorf("it does not run as 65532: %v\n%s", err, user)
	}
	entries, err := os.ReadDir(filepath.Join(dir, stateDir))
	if err != nil || len(entries) == 0 {
		t.Errorf("nothing lies in %s: %v", stateDir, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v\n%s", err, log.String())
	}
	if health() == nil {
		t.Error("the health check passes though nothing runs")
	}
}

// static fails the test where a program asks for an interpreter or a library.
func static(t *testing.T, file string) {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s is dynamic: it asks for an interpreter", file)
		}
	}
	if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		t.Errorf("%s needs %v", file, libs)
	}
}
