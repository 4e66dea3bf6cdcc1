package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
)

// A line is {"seq":N,"prev":"<hash of the line before>",…,"hash":"<its own>"}: the hash is the SHA-256 of all that stands
// before `,"hash"`, which has the hash of the line before in it. So nothing needs to be parsed to check it, and there is
// one way to write it.
const (
	seqPart  = `{"seq":`
	prevPart = `,"prev":"`
	lostPart = `,"lost":`
	hashPart = `,"hash":"`
	lineEnd  = "\"}\n"

	hexLen = 2 * sha256.Size
	// chainBytes is the most that the chain adds to a line.
	chainBytes = 256
)

// zero is the prev of the first line there ever was.
var zero = string(bytes.Repeat([]byte{'0'}, hexLen))

// chain is where the next line joins.
type chain struct {
	seq  uint64 // of the last line; 0: there is none
	hash string // of the last line; "": zero
	lost int64  // lines given up since
}

// append adds body, which is a JSON object with at least one member, to out as the next line.
func (c *chain) append(out, body []byte) []byte {
	begin := len(out)
	c.seq++
	out = strconv.AppendUint(append(out, seqPart...), c.seq, 10)
	out = append(append(append(out, prevPart...), c.prev()...), '"')
	if c.lost > 0 {
		out = strconv.AppendInt(append(out, lostPart...), c.lost, 10)
		c.lost = 0
	}
	out = append(append(out, ','), body[1:len(body)-1]...)
	sum := sha256.Sum256(out[begin:])
	c.hash = hex.EncodeToString(sum[:])
	out = append(append(out, hashPart...), c.hash...)
	return append(out, lineEnd...)
}

func (c *chain) prev() string {
	if c.hash == "" {
		return zero
	}
	return c.hash
}

// link is what the chain says of one line.
type link struct {
	seq        uint64
	prev, hash string
}

// read takes a line apart, without its line end, and checks its own hash.
func read(text []byte) (link, error) {
	cut := len(text) - len(hashPart) - hexLen - len(lineEnd) + 1
	if cut < 0 || !bytes.HasPrefix(text[cut:], []byte(hashPart)) || !bytes.HasSuffix(text, []byte(`"}`)) {
		return link{}, errors.New("it is no line of an audit trail")
	}
	sum := sha256.Sum256(text[:cut])
	l := link{hash: string(text[cut+len(hashPart) : len(text)-2])}
	if l.hash != hex.EncodeToString(sum[:]) {
		return link{}, errors.New("it was changed: its hash is not the one that it holds")
	}
	rest, ok := bytes.CutPrefix(text[:cut], []byte(seqPart))
	number, rest, found := bytes.Cut(rest, []byte(prevPart))
	seq, err := strconv.ParseUint(string(number), 10, 64)
	if !ok || !found || err != nil || len(rest) < hexLen {
		return link{}, errors.New("it has no place in the chain: seq or prev is missing")
	}
	l.seq, l.prev = seq, string(rest[:hexLen])
	return l, nil
}
