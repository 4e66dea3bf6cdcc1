// Package logs is how the process logs: slog, as JSON or text, with a level and a format that a reload may change, on a
// pipe that never makes a request wait. A reader that stops reading costs log lines, which are counted, and nothing else.
package logs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
)

// queue is how many lines wait for a slow reader before lines are dropped.
const queue = 8192

// Output is the one place that log lines are written to. It is safe for concurrent use.
type Output struct {
	lines   chan []byte
	done    chan struct{}
	dropped atomic.Int64
	current atomic.Pointer[settings]
	mu      sync.RWMutex // held for writing only by Close
	closed  bool
}

// settings is what a reload replaces as a whole; version tells derived handlers to build themselves anew.
type settings struct {
	handler slog.Handler
}

// Open starts writing lines to w, in the named level (debug, info, warn, error) and format (json, text). Anything else
// means info and json.
func Open(w io.Writer, level, format string) *Output {
	o := &Output{lines: make(chan []byte, queue), done: make(chan struct{})}
	o.Set(level, format)
	go func() {
		defer close(o.done)
		o.write(w)
	}()
	return o
}

// most is how many bytes of lines are written at once.
const most = 64 << 10

// write writes what is queued, as many lines at once as wait: a busy process would else spend more on the writing of each
// line than on all else about it. It ends when the queue is closed and empty.
func (o *Output) write(w io.Writer) {
	var batch []byte
	for line := range o.lines {
		batch = append(batch[:0], line...)
		for more := true; more && len(batch) < most; {
			select {
			case line, ok := <-o.lines:
				batch, more = append(batch, line...), ok
			default:
				more = false
			}
		}
		w.Write(batch) // nothing can be done here about a log that can't be written
	}
}

// Set changes level and format for every logger that came from this output.
func (o *Output) Set(level, format string) {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: l}
	var h slog.Handler = slog.NewJSONHandler(o, options)
	if format == "text" {
		h = slog.NewTextHandler(o, options)
	}
	o.current.Store(&settings{h})
}

// Logger returns a logger that follows later calls of Set.
func (o *Output) Logger() *slog.Logger { return slog.New(&handler{out: o}) }

// Dropped counts the lines that were given up because nobody read them.
func (o *Output) Dropped() int64 { return o.dropped.Load() }

// Write queues one line and returns at once. It implements io.Writer for slog and never fails.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		o.dropped.Add(1)
		return len(line), nil
	}
	select {
	case o.lines <- append([]byte(nil), line...):
	default:
		o.dropped.Add(1)
	}
	return len(line), nil
}

// Close writes what is queued and ends. Lines that come later are counted as dropped.
func (o *Output) Close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.lines)
	}
	o.mu.Unlock()
	<-o.done
}

// handler passes each record to the handler in force, with the attributes and groups that were added to it.
type handler struct {
	out   *Output
	with  []func(slog.Handler) slog.Handler
	cache atomic.Pointer[derived]
}

type derived struct {
	from    *settings
	handler slog.Handler
}

func (h *handler) inForce() slog.Handler {
	s := h.out.current.Load()
	if d := h.cache.Load(); d != nil && d.from == s {
		return d.handler
	}
	built := s.handler
	for _, f := range h.with {
		built = f(built)
	}
	h.cache.Store(&derived{s, built})
	return built
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.inForce().Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.inForce().Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(n slog.Handler) slog.Handler { return n.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return h.and(func(n slog.Handler) slog.Handler { return n.WithGroup(name) })
}

func (h *handler) and(f func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{out: h.out, with: append(h.with[:len(h.with):len(h.with)], f)}
}
