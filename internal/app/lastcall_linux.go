package app

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handshake is how long a connection may take from the server's SYN to being accepted.
const handshake = 50 * time.Millisecond

// takeRest accepts what waits in the queue of a TCP listener and stops it in the same breath. Where the kernel takes a filter
// no connection begins from then on, and those that had begun get the time to come through: clients repeat their SYN after
// a second, and are refused.
func takeRest(l net.Listener) (rest []net.Conn) {
	conn, ok := l.(syscall.Conn)
	if !ok || l.Addr().Network() != "tcp" {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	filtered := false
	raw.Control(func(fd uintptr) { filtered = dropSYN(int(fd)) == nil })
	if filtered {
		time.Sleep(handshake) // Accept goes on meanwhile
	}
	raw.Control(func(fd uintptr) {
		for {
			nfd, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err == unix.EINTR || err == unix.ECONNABORTED {
				continue
			}
			if err != nil {
				unix.Shutdown(int(fd), unix.SHUT_RD)
				return
			}
			f := os.NewFile(uintptr(nfd), "")
			if c, err := net.FileConn(f); err == nil {
				rest = append(rest, c)
			}
			f.Close() // FileConn has one of its own
		}
	})
	return rest
}

// dropSYN has the kernel drop packets with SYN and without ACK.
func dropSYN(fd int) error {
	const flags, synAck, syn = 13, 0x12, 0x02 // the byte of the TCP header, and bits in it
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: synAck},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
