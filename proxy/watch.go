package proxy

import (
	"sync"
	"time"
)

// watch gives up on an upstream that is waited for too long. What moves in the meantime starts the wait anew, so that a
// body may take as long as its bytes keep coming. The zero value does nothing.
//
// To move a timer costs more than all else here, and hardly one ever goes off: so a wait that ends leaves the timer where it
// is, and one that goes off early is set again for the wait that is then under way.
type watch struct {
	mu    sync.Mutex
	timer *time.Timer
	late  func()
	limit time.Duration
	due   int64 // when the present wait has lasted too long, by monotonic; 0: nothing is waited for
	set   int64 // when the timer goes off; 0: it does not
}

// begin waits for the first time, from now. late is called once, when the upstream was waited for longer than limit.
func (w *watch) begin(now time.Time, limit time.Duration, late func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late, w.limit = late, limit
	w.due = ticks(now) + int64(limit)
	w.set = w.due
	w.timer = time.AfterFunc(limit, w.check)
}

// wait begins another wait, with a limit of its own.
func (w *watch) wait(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = limit
	w.due = monotonic() + int64(limit)
	if w.set == 0 || w.due < w.set {
		w.set = w.due
		w.timer.Reset(limit)
	}
}

// pause ends a wait.
func (w *watch) pause() {
	w.mu.Lock()
	w.due = 0
	w.mu.Unlock()
}

// moved starts the present wait anew, where there is one.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.due != 0 {
		w.due = monotonic() + int64(w.limit)
	}
}

// end ends it for good.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due, w.late = 0, nil
	if w.timer != nil {
		w.timer.Stop()
	}
}

// check is called when the timer goes off.
func (w *watch) check() {
	w.mu.Lock()
	w.set = 0
	late := w.late
	switch left := w.due - monotonic(); {
	case w.due == 0:
		late = nil
	case left > 0:
		late, w.set = nil, w.due
		w.timer.Reset(time.Duration(left))
	default:
		w.late = nil
	}
	w.mu.Unlock()
	if late != nil {
		late()
	}
}
