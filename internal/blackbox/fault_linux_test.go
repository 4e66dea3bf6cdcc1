package blackbox

import "golang.org/x/sys/unix"

// fillDisk has every write of the node to a file fail, as on a disk that is full.
func (c *call) fillDisk(n *node) {
	c.Helper()
	if err := unix.Prlimit(n.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}, nil); err != nil {
		c.Fatal(err)
	}
}

// freeDisk ends fillDisk.
func (c *call) freeDisk(n *node) {
	c.Helper()
	if err := unix.Prlimit(n.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil); err != nil {
		c.Fatal(err)
	}
}
