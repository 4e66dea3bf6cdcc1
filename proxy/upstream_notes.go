package proxy

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// notes are the log lines of an endpoint. One that changes its state all the time does not fill the log: after a few lines
// in a row there is one for every noteEvery, which says how many were left out.
type notes struct {
	log     *slog.Logger
	room    atomic.Int64 // when the next line may be written if the ones before had been noteEvery apart
	skipped atomic.Int64
}

const (
	noteEvery = 10 * time.Second
	notesHeld = 6
)

func (n *notes) warn(msg string, args ...any) { n.write(slog.LevelWarn, monotonic(), msg, args) }
func (n *notes) info(msg string, args ...any) { n.write(slog.LevelInfo, monotonic(), msg, args) }

func (n *notes) write(level slog.Level, now int64, msg string, args []any) {
	for {
		room := n.room.Load()
		if room > now+int64((notesHeld-1)*noteEvery) {
			n.skipped.Add(1)
			return
		}
		if n.room.CompareAndSwap(room, max(room, now)+int64(noteEvery)) {
			break
		}
	}
	if skipped := n.skipped.Swap(0); skipped > 0 {
		args = append(args, "lines_left_out", skipped)
	}
	n.log.Log(context.Background(), level, msg, args...)
}

var started = time.Now()

// monotonic is the time in nanoseconds by a clock that nobody sets.
func monotonic() int64 { return int64(time.Since(started)) }

// ticks is what monotonic was at t, which time.Now made.
func ticks(t time.Time) int64 { return int64(t.Sub(started)) }
