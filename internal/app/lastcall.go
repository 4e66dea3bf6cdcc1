package app

import (
	"net"
	"sync"
)

// lastCall is a listener that can stop without resetting the connections that wait in its queue: their clients are connected,
// and have sent their requests.
type lastCall struct {
	net.Listener
	mu   sync.Mutex
	late []net.Conn // were waiting when it stopped
}

// Accept implements net.Listener.
func (l *lastCall) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.late) == 0 {
		return nil, err
	}
	conn, l.late = l.late[0], l.late[1:]
	return conn, nil
}

// stop ends the listener. What waited comes out of Accept before its error does.
func (l *lastCall) stop() {
	l.mu.Lock()
	l.late = append(l.late, takeRest(l.Listener)...)
	l.mu.Unlock()
	l.Listener.Close()
}
