//go:build unix

package lean

import "syscall"

// canProbe says whether it can be seen here, without waiting, that a server ended an idle connection or sent something on
// it. Where it can't be, a response that nobody asked for would be taken for the next one's.
const canProbe = true

// probe is what looks at one connection.
type probe struct {
	look  func(fd uintptr) bool // made once, since it escapes
	quiet bool
}

func (p *probe) init() {
	p.look = func(fd uintptr) bool {
		var one [1]byte // the descriptor does not block
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		for err == syscall.EINTR {
			_, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		}
		p.quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // don't wait
	}
}

// silent reports whether there is nothing to be read, and no end.
func (p *probe) silent(raw syscall.RawConn) bool {
	p.quiet = false
	return raw.Read(p.look) == nil && p.quiet
}
