package proxy

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// response is the ResponseWriter that the gateway writes to. It counts, and gives every write a deadline of its own, so
// that a response may last as long as the client keeps reading.
type response struct {
	http.ResponseWriter
	status int           // 0: nothing was written
	bytes  int64         // of the body
	idle   time.Duration // the longest that a write may take; 0: no limit
	http10 bool          // the client knows no informational responses
	http2  bool          // a deadline ends the stream even while nothing is written
	moved  int64         // when the write deadline was moved last, by monotonic
	by     time.Duration // for how long; 0: there is none, or not ours
	taken  func(net.Conn)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Informational responses (1xx) are not the response, and 100 is net/http's to
// send, when the body is first read: the upstream's would be a second one.
func (w *response) WriteHeader(status int) {
	informational := status < http.StatusOK
	if status == http.StatusContinue || informational && w.http10 {
		return
	}
	if informational && status != http.StatusSwitchingProtocols {
		dropHopByHop(w.Header())
	}
	if w.status == 0 && !informational {
		w.status = status
	}
	if w.http2 && !informational { // the headers wait for the body or its end
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.writeBy()
	w.ResponseWriter.WriteHeader(status)
	w.wrote()
}

// Write implements io.Writer.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.writeBy()
	n, err := w.ResponseWriter.Write(p)
	w.wrote()
	w.bytes += int64(n)
	return n, err
}

// FlushError is for http.ResponseController: to flush is to write what is buffered.
func (w *response) FlushError() error {
	w.writeBy()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.wrote()
	return err
}

// Hijack implements http.Hijacker, for the one case in which the connection is given away: it becomes a tunnel.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
		w.taken(conn)
	}
	return conn, brw, err
}

// writeBy moves the write deadline; not where it was moved for the same idle time within a 64th of that, which is as good and
// spares most responses all moves but one. A ResponseWriter without deadlines has no connection that could stall.
func (w *response) writeBy() {
	now := monotonic()
	if w.by > 0 && w.by == w.idle && now-w.moved < int64(w.idle/64) {
		return
	}
	w.moved, w.by = now, w.idle
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(deadline(w.idle))
}

// wrote takes the write deadline away where it would count the time in which there is nothing to write.
func (w *response) wrote() {
	if w.http2 {
		w.by = 0
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// readBy moves the deadline for the request's body.
func (w *response) readBy(idle time.Duration) { w.readAt(deadline(idle)) }

func (w *response) readAt(deadline time.Time) {
	http.NewResponseController(w.ResponseWriter).SetReadDeadline(deadline)
}

// deadline is the time after idle; none where idle is 0.
func deadline(idle time.Duration) time.Time {
	if idle <= 0 {
		return time.Time{}
	}
	return time.Now().Add(idle)
}
