package redisx

import (
	"crypto/sha1"
	"encoding/hex"
)

// Script is a Lua script and the digest under which Redis knows it. It is immutable.
type Script struct {
	source, sha string
}

// NewScript returns the script with this source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source)) // Redis names scripts by SHA-1; nothing rests on its strength
	return &Script{source: source, sha: hex.EncodeToString(sum[:])}
}
