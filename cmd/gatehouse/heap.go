package main

import "os"

// heapFloorSize is the bytes of a heapFloor.
const heapFloorSize = 24 << 20

// heapFloor returns memory that, for as long as it is kept, keeps the garbage collector from running dozens of times a second. It
// runs when the heap is twice what was in use, which for most configurations is a few MiB, and a second's requests use that many
// times over. The bytes are never touched, so that the system gives no memory for them; a gateway that holds much more hardly
// notices. There is none where the operator has decided how the collector works.
func heapFloor() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, heapFloorSize)
}
