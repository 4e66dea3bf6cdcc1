package proxy

import (
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
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Informational responses (1xx) are not the response, and 100 is net/http's to
// send, when the body is first read: the upstream's would be a second one.
func (w *response) WriteHeader(status int) {
	if status == http.StatusContinue {
		return
	}
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.writeBy()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.writeBy()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// writeBy moves the write deadline. A ResponseWriter without deadlines has no connection that could stall.
func (w *response) writeBy() {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(deadline(w.idle))
}

// readBy moves the deadline for the request's body.
func (w *response) readBy(idle time.Duration) {
	http.NewResponseController(w.ResponseWriter).SetReadDeadline(deadline(idle))
}

// deadline is the time after idle; none where idle is 0.
func deadline(idle time.Duration) time.Time {
	if idle <= 0 {
		return time.Time{}
	}
	return time.Now().Add(idle)
}
