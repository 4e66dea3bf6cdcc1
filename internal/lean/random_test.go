package lean

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// material is what responses are made of at random, mutated and cut.
var material = []string{
	ok2, noBody, chunked + "2\r\nok\r\n0\r\n\r\n", chunked + "2;x\r\nok\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 103 X\r\nX: y\r\n\r\n" + ok2,
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.1 200 OK\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 304 X\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
}

// mutate changes a text in a few places.
func mutate(draw *rand.Rand, s string) string {
	b := []byte(s)
	for range draw.IntN(4) {
		at := draw.IntN(len(b) + 1)
		switch draw.IntN(6) {
		case 0:
			b = b[:at]
		case 1:
			b = slices.Insert(b, at, "\r\n\x00 \t:;,-0159afHTx\xff"[draw.IntN(19)])
		case 2:
			if at < len(b) {
				b = slices.Delete(b, at, at+1)
			}
		case 3:
			if at < len(b) {
				b[at] = byte(draw.IntN(256))
			}
		case 4:
			other := material[draw.IntN(len(material))]
			b = append(b[:at:at], other[draw.IntN(len(other)):]...)
		case 5:
			b = slices.Insert(b, at, b[:draw.IntN(at+1)]...)
		}
	}
	return string(b)
}

// pieces cuts a text at random.
func pieces(draw *rand.Rand, s string) (list []string) {
	for len(s) > 0 && draw.IntN(3) > 0 {
		n := draw.IntN(len(s)) + 1
		list = append(list, s[:n])
		s = s[n:]
	}
	return append(list, s)
}

// drawn is a scenario of one call whose response is text, and of a call after it. What is sent after the response may
// be there with it or later, so that the server always ends the connection, and the second call comes after that.
func drawn(draw *rand.Rand, text string) scenario {
	end := []step{drop, halfClose}[draw.IntN(2)]
	s := script{request, send(pieces(draw, text)...), end, tell("ended"), gone}
	first := call{method: []string{"GET", "HEAD", "POST", "DELETE"}[draw.IntN(4)], no1xx: draw.IntN(2) == 0}
	if first.method == "POST" {
		first.body = "hello"
	}
	list := calls(first, call{method: "GET", after: "ended", noticed: true})
	if draw.IntN(2) == 0 {
		s = append(script{request, send(ok2)}, s...)
		list = append(calls(get()), list...)
	}
	return scenario{scripts: []script{s, answer(ok2)}, calls: list}
}

// switches reports whether the caller would write to the connection, of which the end is on its way.
func switches(text string) bool { return strings.Contains(text, "101") }

// TestRandom runs scenarios that nobody thought of, for a second.
func TestRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	draw := rand.New(rand.NewPCG(seed, 0))
	for end := time.Now().Add(time.Second); time.Now().Before(end) && !t.Failed(); {
		text := mutate(draw, material[draw.IntN(len(material))])
		if switches(text) {
			continue
		}
		s := drawn(draw, text)
		if s.test(t, draw.IntN(4) == 0); t.Failed() {
			t.Fatalf("seed %d: the response was %q", seed, text)
		}
	}
}

// FuzzDifferential runs a response against both. How it is cut depends on it alone.
func FuzzDifferential(f *testing.F) {
	for _, text := range material {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 10000 || switches(string(text)) {
			return // what a switch of protocols leaves is not compared
		}
		h := fnv.New64()
		h.Write(text)
		s := drawn(rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h.Sum(nil)), 0)), string(text))
		if s.test(t, false); t.Failed() {
			t.Fatalf("the response was %q", text)
		}
	})
}
