//go:build !linux

package app

import "net"

// takeRest takes nothing here: what waits to be accepted is reset.
func takeRest(net.Listener) []net.Conn { return nil }
