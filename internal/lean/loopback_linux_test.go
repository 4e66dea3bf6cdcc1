package lean

import "syscall"

// bindAddressNoPort is IP_BIND_ADDRESS_NO_PORT: the port is chosen with the connection, which takes no long search among
// thousands that were used before.
const bindAddressNoPort = 24

func init() {
	dialer.Control = func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1) }); err != nil {
			return err
		}
		return failed
	}
}
