package redisx

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrOpen is the error of Run while the breaker is open: Redis was not asked.
var ErrOpen = errors.New("redis is not asked until it answers the heartbeat again")

// Class is a kind of failure, as a metric label.
type Class uint8

// The classes. None is the class of a nil error, of redis.Nil, and of a call that its own caller cancelled.
const (
	None     Class = iota
	Timeout        // no answer in time, or no free connection in time
	Conn           // no connection, or one that broke
	Key            // the script or one of its keys: WRONGTYPE, CROSSSLOT, TRYAGAIN while a slot moves, an error in Lua
	Auth           // NOAUTH, WRONGPASS, NOPERM: the configuration is wrong
	OOM            // Redis is at its maxmemory
	ReadOnly       // this server takes no writes now: READONLY, LOADING, MASTERDOWN, CLUSTERDOWN and their like
	Other
	classes // how many there are
)

var classNames = [classes]string{"none", "timeout", "conn", "script", "auth", "oom", "readonly", "other"}

// String is the class as a metric label.
func (c Class) String() string {
	if c >= classes {
		return "other"
	}
	return classNames[c]
}

// prefixes are what Redis begins its error answers with. A script's own command that failed is reported by older servers
// inside another text, after a hyphen.
var prefixes = []struct {
	class Class
	words []string
}{
	{ReadOnly, []string{"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF"}},
	{OOM, []string{"OOM"}},
	{Auth, []string{"NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password",
		"ERR The user executing the script can't"}},
	{Timeout, []string{"BUSY"}},
	{Key, []string{"WRONGTYPE", "CROSSSLOT", "TRYAGAIN", "NOSCRIPT", "UNKILLABLE"}},
	{Other, []string{"ERR max number of clients", "ERR unknown command", "MOVED", "ASK"}},
	{Key, []string{"ERR"}}, // the rest of what a script, or a command of ours, may be told
}

// Classify says which kind of failure err is.
func Classify(err error) Class {
	var answer redis.Error
	var network net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
		return None
	case errors.As(err, &answer):
		return classifyAnswer(answer.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return Timeout
	case errors.As(err, &network) && network.Timeout():
		return Timeout
	}
	return Conn
}

func classifyAnswer(text string) Class {
	for _, p := range prefixes {
		for _, w := range p.words {
			if strings.HasPrefix(text, w) || strings.Contains(text, " -"+w+" ") {
				return p.class
			}
		}
	}
	return Other
}

// feeds reports whether err counts against Redis in the breaker.
func feeds(err error) bool {
	c := Classify(err)
	return c != None && c != Key
}

// both is several errors in one line.
type both []error

// Error implements error.
func (b both) Error() string {
	texts := make([]string, len(b))
	for i, err := range b {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As see each.
func (b both) Unwrap() []error { return b }
