package redisx

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// hostile answers every command on every connection with the same bytes.
func hostile(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
					if _, err := c.Write([]byte(answer)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// A server that announces what no memory holds costs a connection, and not the process.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"$9223372036854775805\r\n", "*9223372036854775807\r\n", "*1000000000\r\n", "$-7\r\n", "*-7\r\n", "%9223372036854775807\r\n", "\r\n", "*1\r\n*1\r\n"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			c := open(t, Options{Addrs: []string{hostile(t, answer)}, Budget: time.Second})
			b := NewBatcher(c, NewScript("return 1"))
			if _, err := b.Run(within(t, patience), Call{Keys: []string{"a"}}); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		bytes string
		ok    bool
	}{
		{"+OK\r\n:1\r\n-ERR no\r\n_\r\n#t\r\n,1.5\r\n(12345678901234567890123456789\r\n", true},
		{"$5\r\n$9999\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n$3\r\n*99\r\n:1\r\n", true},
		{"*1\r\n*1\r\n%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:1\r\n=5\r\ntxt:a\r\n", true},
		{"+" + strings.Repeat("a", 60000) + "\r\n", true},
		{"+" + strings.Repeat("a", 70000), false},
		{"$16777216\r\n", true},
		{"$16777217\r\n", false},
		{"!16777217\r\n", false},
		{"=99999999999999999999\r\n", false},
		{"$000000000000000000000000000000000000000000000000001\r\n", false},
		{"*1048577\r\n", false},
		{"%524289\r\n", false},
		{">9223372036854775807\r\n", false},
		{"~1000000\r\n~1000000\r\n", false}, // one within the other
		{"*1000000\r\n" + strings.Repeat("*0\r\n", 1000000) + "*1000000\r\n", true},
		{"|1000000\r\n|1000000\r\n", false},
	} {
		for _, step := range []int{1, 7, len(tt.bytes)} {
			var g guard
			var err error
			for rest := []byte(tt.bytes); len(rest) > 0; {
				n := min(step, len(rest))
				err = g.pass(rest[:n])
				rest = rest[n:]
			}
			if ok := err == nil; ok != tt.ok {
				t.Errorf("%.60q in steps of %d: %v", tt.bytes, step, err)
			}
			if tt.ok && strings.HasSuffix(tt.bytes, "\r\n") && (g.length != 0 || g.text > 1<<24+2) {
				t.Errorf("%.60q in steps of %d: left in the middle of something: %+v", tt.bytes, step, g)
			}
		}
	}
}
