package redistest

import (
	_ "embed"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

//go:embed testdata/clock.c
var clockSource []byte

// Clock sets how far a server's wall clock is ahead of the machine's, while it runs.
type Clock struct {
	t    testing.TB
	file string
}

// StartClock is Start for a server whose wall clock Clock moves; it begins in step with the machine's. It takes Linux and a C
// compiler, as the race detector does: elsewhere the test is skipped.
func StartClock(t testing.TB, args ...string) (*Server, *Clock) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a redis-server: left out by -short")
	}
	cc, err := exec.LookPath("cc")
	if runtime.GOOS != "linux" || err != nil {
		t.Skip("a redis-server with a clock of its own takes Linux and a C compiler: apt-get install gcc libc6-dev")
	}
	dir := t.TempDir()
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("clock.c: %v\n%s", err, out)
	}
	c := &Clock{t: t, file: filepath.Join(dir, "ahead")}
	c.Set(0)
	s := launchWith(t, []string{"LD_PRELOAD=" + library, "REDISTEST_CLOCK=" + c.file}, alone, args, nil)
	return s, c
}

// Set makes the clock so much ahead of the machine's, in whole seconds; a negative one is behind. It may be called from any
// goroutine.
func (c *Clock) Set(ahead time.Duration) {
	b := binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second)))
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600) // not truncated: the server has it mapped
	if err == nil {
		_, err = f.WriteAt(b, 0)
		f.Close()
	}
	if err != nil {
		c.t.Errorf("clock of redis-server: %v", err)
	}
}
