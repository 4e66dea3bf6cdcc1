// Package blackbox holds tests that know Gatehouse only from outside: they build the real binary, start it with real
// configuration files on real ports, and talk to it as its callers do. Nothing of the module is imported but the helper that
// starts a redis-server and the load of `gatehouse bench`, which know nothing of the program either: no mistake of it can hide in
// its own tests.
package blackbox
