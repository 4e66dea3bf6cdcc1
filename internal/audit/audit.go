// Package audit keeps the trail of what was decided about tokens and what administrators did: one line of JSON each, in
// files that are only ever appended to.
//
// Each line holds a number, the hash of the line before it and its own, so that a line that is changed, taken out or put
// in shows (see Verify). The chain goes on from file to file and over restarts. There is no key in it: who may write the
// files could make a whole new chain, so the hash of the last line goes to the process's log at every start, end and
// change of file, which is where a chain can be held against (Verify's head).
//
// The trail never makes a request wait and never stops the gateway. Lines wait in memory for at most a second; where the
// disk takes none they wait longer, and once there are too many of them further ones are given up, counted, and counted
// in the chain as well.
package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"gatehouse/internal/exchange"
)

const (
	// every is the longest that a line waits for the disk.
	every = time.Second
	// enough is how many bytes of lines are written at once, without waiting for more.
	enough = 64 << 10
	// maxPending is how many bytes of lines may wait before further ones are given up.
	maxPending = 4 << 20
)

// Options say where the trail is. File is required.
type Options struct {
	File    string       // the file that is written to; full ones get a number at the end of its name
	MaxSize int64        // bytes that a file may have before the next one begins; below 1 KiB means 64 MiB
	Keep    int          // how many full files stay; below 1 means 8
	Log     *slog.Logger // nil: nothing is logged
	Now     func() time.Time
}

// Log is a trail that is open for writing. It is safe for concurrent use. A nil *Log keeps nothing and fails at nothing.
type Log struct {
	o    Options
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what follows; taken after io
	chain   chain
	pending []byte // whole lines
	closed  bool
	stats   Stats

	io        sync.Mutex // guards what follows
	file      *os.File   // nil: to be opened
	size      int64
	unwritten []byte // whole lines that were taken from pending
	head      string // hash of the last line on disk
	failing   bool   // the last attempt to write failed, which was logged
}

// Stats is how the trail does, for metrics.
type Stats struct {
	Lines    int64 // taken into the trail
	Lost     int64 // given up since too many waited for the disk
	Failures int64 // attempts to write that failed
	Failing  bool  // the last attempt failed
}

// Open opens the trail where it ended, and makes its file where there is none. The end of a line that a crash left is put
// into a file of its own beside it. A file that can't be opened is an error, except for want of space: the trail then
// begins once there is some.
func Open(o Options) (*Log, error) {
	if o.MaxSize < 1<<10 {
		o.MaxSize = 64 << 20
	}
	if o.Keep < 1 {
		o.Keep = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{o: o, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if err := l.resume(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("audit.file %s: %w", o.File, err)
	}
	go l.run()
	return l, nil
}

// Set changes how large a file may grow and how many full ones stay, for a reload.
func (l *Log) Set(maxSize int64, keep int) {
	if l == nil {
		return
	}
	l.io.Lock()
	defer l.io.Unlock()
	l.o.MaxSize, l.o.Keep = max(maxSize, 1<<10), max(keep, 1)
}

// Finish implements exchange.Sink: it keeps a line for what was decided at the token, revocation and introspection
// endpoints, and nothing for other requests.
func (l *Log) Finish(r *exchange.Record) {
	if l == nil || !decides(r.Endpoint) {
		return
	}
	l.add(decisionOf(r))
}

// Admin keeps the line of an administrative act, and returns once it is safely on disk. The act is kept in memory where
// that fails, and written as soon as it can be; the error says so.
func (l *Log) Admin(e Event) error {
	if l == nil {
		return nil
	}
	l.add(lineOf(e, l.o.Now()))
	if err := l.flush(true); err != nil {
		return fmt.Errorf("the audit trail is not on disk yet: %w", err)
	}
	return nil
}

// Stats returns the counters as they are now.
func (l *Log) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close writes what waits and closes the file. Later lines are lost. It is safe to call twice.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return nil
	}
	close(l.stop)
	<-l.done
	err := l.flush(true)
	l.io.Lock()
	defer l.io.Unlock()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		l.file = nil
	}
	l.o.Log.Info("audit trail closed", "file", l.o.File, "head", l.head)
	return err
}

// add gives the line its place in the chain. It does not wait for the disk.
func (l *Log) add(body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.pending)+len(body)+chainBytes > maxPending {
		l.chain.lost++
		l.stats.Lost++
		return
	}
	l.pending = l.chain.append(l.pending, body)
	l.stats.Lines++
	if len(l.pending) < enough {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes every second, and at once where much waits.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		case <-l.wake:
		}
		l.flush(false) // counts and logs its failure
	}
}
