// Package blackbox holds tests that know Gatehouse only from outside: they build the real binary, start it with real
// configuration files on real ports, and talk to it as its callers do. Nothing of the module but the helper that starts a
// redis-server is imported, so that no mistake of the program can hide in its own tests.
package blackbox
