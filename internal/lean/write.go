package lean

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// lastWords is how long a server that ended our sending may take to have its response read.
const lastWords = 50 * time.Millisecond

const copySize = 32 << 10

var copies = sync.Pool{New: func() any { return new([copySize]byte) }}

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

// failed ends the trip for what the request's body did.
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
			return x.failed(err, err)
		}
	}
	if sent != length {
		err := fmt.Errorf("http: ContentLength=%d with Body length %d", length, sent)
		return x.failed(err, broken(err))
	}
	return nil
}
