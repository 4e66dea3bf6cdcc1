package lean

import (
	"fmt"
	"io"
	"net/http/httptrace"
	"sync"
	"time"
)

// heads up to atOnce bytes are written before the response is read. They fit what a system takes without the server's
// help, so that a server that answers without reading is heard all the same.
const atOnce = 4 << 10

// lastWords is how long a server that ended our sending may take to have its response read.
const lastWords = 50 * time.Millisecond

const copySize = 32 << 10

var copies = sync.Pool{New: func() any { return new([copySize]byte) }}

// write sends a short head; what is longer, or has a body, goes out beside the reading. Where it fails the server may have
// said why, and that is read; but not where nothing was sent on a connection that was idle: what came on that is no answer.
func (x *trip) write() error {
	if hasBody(x.req) || len(x.head.b) > atOnce {
		x.wrote = make(chan error, 1)
		go x.writeBeside()
		return nil
	}
	x.wroteHead()
	err := x.sendBytes(x.head.b)
	x.wroteAll(err)
	if err != nil && x.c.reused && x.c.sent == 0 {
		return x.unreadable(err, false)
	}
	if err != nil {
		x.wrote = make(chan error, 1)
		x.wrote <- err
	}
	return nil
}

func (x *trip) wroteHead() {
	if x.trace != nil && x.trace.WroteHeaders != nil {
		x.trace.WroteHeaders()
	}
}

func (x *trip) wroteAll(err error) {
	if x.trace != nil && x.trace.WroteRequest != nil {
		x.trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// writeBeside sends the whole request, and closes its body, while the trip reads.
func (x *trip) writeBeside() {
	err := x.send()
	x.wroteAll(err)
	x.wrote <- err
}

// send sends head and body. Where it fails it sees to it that the reading ends.
func (x *trip) send() error {
	x.wroteHead()
	err := x.sendBytes(x.head.b)
	if !hasBody(x.req) {
		return err
	}
	x.freeHead() // a request with a body is not sent again
	if err == nil {
		err = x.sendBody()
	}
	if closed := x.req.Body.Close(); closed != nil && err == nil {
		return x.failed(closed, broken(closed))
	}
	return err
}

// failed ends the trip for what the request's body did, which is the fault that the caller is told of.
func (x *trip) failed(err, fault error) error {
	x.fault = fault
	x.c.close()
	return err
}

// sendBytes writes to the server. One that takes no more may have said why, so that reading goes on for a moment.
func (x *trip) sendBytes(p []byte) error {
	n, err := x.c.Write(p)
	x.c.sent += int64(n)
	if err != nil {
		x.c.SetReadDeadline(time.Now().Add(lastWords))
	}
	return err
}

// sendBody sends as many bytes as were announced, and looks for the end of the body.
func (x *trip) sendBody() error {
	buf := copies.Get().(*[copySize]byte)
	defer copies.Put(buf)
	length, sent := x.req.ContentLength, int64(0)
	for {
		n, err := x.req.Body.Read(buf[:])
		if due := min(int64(n), length-sent); due > 0 {
			if err := x.sendBytes(buf[:due]); err != nil {
				return err
			}
		}
		sent = sent + int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			x.unread = err
			return x.failed(err, nil)
		}
	}
	if sent != length {
		err := fmt.Errorf("http: ContentLength=%d with Body length %d", length, sent)
		return x.failed(err, broken(err))
	}
	return nil
}
