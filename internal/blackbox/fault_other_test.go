//go:build !linux

package blackbox

// Rows that need a full disk are seen on Linux alone.

func (c *call) fillDisk(*node) { c.Skip("filling the disk of a process needs Linux") }
func (c *call) freeDisk(*node) {}
