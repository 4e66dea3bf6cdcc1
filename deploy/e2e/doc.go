// Package e2e drives the status page of a real gatehouse in a real browser. It is a module of its own, so that its browser driver
// is no dependency of the gateway. `make e2e` runs it.
package e2e
