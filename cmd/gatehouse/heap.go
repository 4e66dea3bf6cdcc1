package main

import "os"

// heapFloor keeps the garbage collector from running dozens of times a second. It runs when the heap is twice what was in use,
// which for most configurations is a few MiB, and a second's requests use that many times over. The bytes are never touched, so
// that the system gives no memory for them; a gateway that holds much more hardly notices.
var heapFloor []byte

const heapFloorSize = 24 << 20

// raiseHeapFloor makes one, unless the operator has decided how the collector works.
func raiseHeapFloor() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		heapFloor = make([]byte, heapFloorSize)
	}
}
