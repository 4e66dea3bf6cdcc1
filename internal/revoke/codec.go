package revoke

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// String is the rule's name in the journal and in Redis: kind, length of the issuer, issuer and name, such as
// "client 5:localbilling". The length keeps issuer and name apart whatever is in them.
func (k ruleKey) String() string {
	return k.kind.String() + " " + strconv.Itoa(len(k.issuer)) + ":" + k.issuer + k.name
}

// parseRule is the inverse of ruleKey.String; ok is false for what that never returns for a valid rule.
func parseRule(s string) (ruleKey, bool) {
	kind, rest, _ := strings.Cut(s, " ")
	digits, text, found := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	if !found || err != nil || n < 0 || n > len(text) || strconv.Itoa(n) != digits {
		return ruleKey{}, false
	}
	key := ruleKey{issuer: text[:n], name: text[n:]}
	for _, k := range []Kind{Client, Key, All} {
		if k.String() == kind {
			key.kind = k
		}
	}
	e := Entry{Kind: key.kind, Issuer: key.issuer, Name: key.name}
	return key, key.kind != 0 && e.check() == nil
}

// member is what the journal and Redis call the entry: the token's id, or the rule's name.
func (e *Entry) member() string {
	if e.Kind == Token {
		return string(e.ID[:])
	}
	key, _ := e.rule()
	return key.String()
}

// fromMember returns the entry that member names, without T and expiry.
func fromMember(token bool, member string) (Entry, bool) {
	if token {
		if len(member) != 16 {
			return Entry{}, false
		}
		return Entry{Kind: Token, ID: [16]byte([]byte(member))}, true
	}
	key, ok := parseRule(member)
	return Entry{Kind: key.kind, Issuer: key.issuer, Name: key.name}, ok
}

// timed sets T and expiry where they are in range, which a token's and a rule's are not in the same way.
func (e *Entry) timed(notBefore, expires int64) bool {
	e.NotBefore, e.Expires = notBefore, expires
	return expires > 0 && expires <= maxExpires && (e.Kind == Token) == (notBefore == 0) && notBefore >= 0
}

// maxExpires is the last second that a slot of the set holds, in 2106.
const maxExpires = 1<<32 - 1

// marshal is the entry in full, as the journal's queue keeps it: a byte that is 1 for a token, T, expiry, member.
func (e *Entry) marshal() []byte {
	token := byte(0)
	if e.Kind == Token {
		token = 1
	}
	b := []byte{token}
	b = binary.BigEndian.AppendUint64(b, uint64(e.NotBefore))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Expires))
	return append(b, e.member()...)
}

// unmarshal is the inverse of marshal; ok is false for anything else.
func unmarshal(b []byte) (e Entry, ok bool) {
	if len(b) < 17 || b[0] > 1 {
		return Entry{}, false
	}
	e, ok = fromMember(b[0] == 1, string(b[17:]))
	notBefore, expires := binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	return e, ok && e.timed(int64(notBefore), int64(expires))
}
