package revoke

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestFilterMissesNothing adds many times what the filter began with, through every time it grows, and drops most of it again.
func TestFilterMissesNothing(t *testing.T) {
	t.Parallel()
	const ids = 20_000
	var s Set
	for n := range uint64(ids) {
		s.Add(Entry{Kind: Token, ID: id(n), Expires: bucketSeconds*(1+int64(n)%5) + 1})
	}
	check := func(first, step uint64) {
		t.Helper()
		f := s.current.Load().filter
		for n := first; n < ids; n += step {
			if sought := id(n); !f.mayHold(&sought) {
				t.Fatalf("the filter says no of id %d, which is held", n)
			}
		}
		held, wrong := 0, 0
		for n := uint64(ids); n < 10*ids; n++ {
			if sought := id(n); f.mayHold(&sought) {
				wrong++
			}
			held++
		}
		if wrong*50 > held {
			t.Errorf("the filter says perhaps of %d in %d ids that are not held, wanted at most one in 50", wrong, held)
		}
	}
	check(0, 1)
	s.Drop(bucketSeconds * 5) // all but what expires in the last hour
	check(4, 5)
	if words := len(s.current.Load().filter.words); words > 4*ids/5 {
		t.Errorf("the filter of %d ids has %d words after the others were dropped", ids/5, words)
	}
	s.Drop(bucketSeconds * 7)
	if s.current.Load() != nil {
		t.Error("something is left when all has expired")
	}
}

// TestFilterAddsOnce adds the same ids again and again, as comparisons with Redis do: the filter does not grow by it.
func TestFilterAddsOnce(t *testing.T) {
	t.Parallel()
	var s Set
	for range 50 {
		for n := range uint64(100) {
			s.Add(Entry{Kind: Token, ID: id(n), Expires: bucketSeconds + 1})
		}
	}
	if words := len(s.current.Load().filter.words); words > 100 {
		t.Errorf("the filter of 100 ids has %d words", words)
	}
}

// TestFilterWhileDropping: what was added is found from then on, while others add, hours end, and filters are made anew.
func TestFilterWhileDropping(t *testing.T) {
	t.Parallel()
	const each, writers = 3000, 3
	var s Set
	var added [writers]atomic.Uint64
	var all, writing sync.WaitGroup
	done := make(chan struct{})
	name := func(w int, n uint64) string { return fmt.Sprint(w, "-", n) }
	for w := range writers {
		writing.Go(func() {
			for n := range uint64(each) {
				s.Add(Entry{Kind: Token, ID: TokenID("local", name(w, n)), Expires: bucketSeconds*(100+int64(n)%4) + 1},
					Entry{Kind: Token, ID: id(uint64(w)*each + n), Expires: bucketSeconds*(1+int64(n)/100) + 1})
				added[w].Store(n + 1)
			}
		})
	}
	all.Go(func() { // hours end, one by one, and what was added late to one of them
		for hour := int64(1); ; hour = hour%40 + 1 {
			select {
			case <-done:
				return
			default:
				s.Drop(bucketSeconds * hour)
			}
		}
	})
	for w := range writers {
		all.Go(func() {
			for n := uint64(0); n < each; {
				if n == added[w].Load() {
					runtime.Gosched()
					continue
				}
				for _, sought := range []uint64{n, n / 2, 0} {
					if !s.Revoked(&Target{Issuer: "local", TokenID: name(w, sought)}) {
						t.Errorf("%s was added, and is not found", name(w, sought))
						return
					}
				}
				n++
			}
		})
	}
	writing.Wait()
	close(done)
	all.Wait()
	if v := s.current.Load(); len(v.filter.words) > 8*writers*each {
		t.Errorf("%d words for %d ids", len(v.filter.words), writers*each)
	}
}
