package proxy

import (
	"sync"
	"time"
)

// watch gives up on an upstream that is waited for too long. What moves in the meantime starts the wait anew, so that a
// body may take as long as its bytes keep coming. The zero value does nothing.
type watch struct {
	mu      sync.Mutex
	timer   *time.Timer
	limit   time.Duration
	waiting bool
}

// begin waits for the first time. late is called once the upstream was waited for longer than limit.
func (w *watch) begin(limit time.Duration, late func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.waiting = limit, true
	w.timer = time.AfterFunc(limit, late)
}

// wait begins another wait, with a limit of its own.
func (w *watch) wait(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.waiting = limit, true
	w.timer.Reset(limit)
}

// pause ends a wait.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
	if w.timer != nil {
		w.timer.Stop()
	}
}

// moved starts the present wait anew, where there is one.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting {
		w.timer.Reset(w.limit)
	}
}
