package lean

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain also holds that nothing is left behind: no goroutine and no descriptor.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // http.Transport tells there of responses that nobody asked for
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		os.Exit(code) // fuzzing has goroutines of its own
	}
	for end := time.Now().Add(10 * time.Second); code == 0; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		g, f := runtime.NumGoroutine(), openFiles()
		if g <= goroutines && f <= files+2 { // the poller's own, which the first socket opens
			break
		}
		if time.Now().After(end) {
			fmt.Printf("%d goroutines and %d descriptors are left, there were %d and %d\n", g, f, goroutines, files)
			pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
	}
	os.Exit(code)
}

// openFiles counts this process's descriptors; 0 where that can't be seen.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
