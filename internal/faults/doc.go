// Package faults holds tests alone: a small fleet of whole gateways in one process, each behind a network of its own to one
// Redis, and what they must do while that Redis is slow, hung, gone, emptied, split, full, or shut to them. Each row of the
// table has the same three probes: limits (what was admitted, decided by whom, after which wait), revocations (what is
// refused, and where a revocation has come to) and tokens (that they are issued, and pass on every node).
//
// TestRandomFaults draws faults at random instead, for as long as GATEHOUSE_FAULTS says, and checks what must hold
// whatever happens: see its checkers.
package faults
