package deploytest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unit lays out the unit with drop-ins, as systemd would find them, and returns its path. The program that it starts is the
// one that is built here.
func unit(t *testing.T, dropIns ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.service")
	text := read(t, "deploy/systemd/gatehouse.service")
	const installed = "/usr/local/bin/gatehouse run"
	if strings.Count(text, installed) != 1 {
		t.Fatalf("the unit does not start %s once", installed)
	}
	write(t, path, strings.Replace(text, installed, program(t)+" run", 1))
	for _, name := range dropIns {
		write(t, filepath.Join(path+".d", name), read(t, "deploy/systemd/"+name))
	}
	return path
}

// What systemd says of the unit alone, and with each drop-in: nothing wrong, and an exposure of at most 2.0 of 10.
func TestUnit(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	for name, dropIns := range map[string][]string{
		"alone":           nil,
		"credentials":     {"credentials.conf"},
		"privileged port": {"privileged-port.conf"},
		"both":            {"credentials.conf", "privileged-port.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			path := unit(t, dropIns...)
			if said := run(t, filepath.Dir(path), analyze, "verify", path); said != "" {
				t.Errorf("systemd-analyze verify says:\n%s", said)
			}
			// The threshold has no decimal point: 20 is an exposure of 2.0.
			out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", path).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Overall exposure level") {
				t.Errorf("systemd-analyze security: %v\n%s", err, out)
			}
		})
	}
}

// A unit that is not hardened fails the same check, or it would show nothing.
func TestUnitCheckNotices(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	path := filepath.Join(t.TempDir(), "plain.service")
	write(t, path, "[Unit]\nDescription=plain\n[Service]\nExecStart=/bin/true\nNonsense=yes\n")
	if out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", path).CombinedOutput(); err == nil {
		t.Errorf("a plain unit is within the threshold:\n%s", out)
	}
	if said, _ := exec.Command(analyze, "verify", path).CombinedOutput(); !strings.Contains(string(said), "Nonsense") {
		t.Errorf("systemd-analyze verify does not notice a wrong key: %s", said)
	}
}
