// Package arch holds the plan of the house as a test: which package may import which, and where each third-party module
// has its one home.
package arch
