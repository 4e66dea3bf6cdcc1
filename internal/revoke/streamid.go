package revoke

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// streamID names an entry of the log. The zero value is before the first.
type streamID struct{ ms, seq uint64 }

// parseStreamID reads "ms-seq".
func parseStreamID(s string) (streamID, bool) {
	ms, seq, ok := strings.Cut(s, "-")
	m, err1 := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	return streamID{m, n}, ok && err1 == nil && err2 == nil
}

// before is the id right before id, which is not the zero value.
func (id streamID) before() streamID {
	if id.seq > 0 {
		return streamID{id.ms, id.seq - 1}
	}
	return streamID{id.ms - 1, math.MaxUint64}
}

// String is "ms-seq".
func (id streamID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id streamID) compare(o streamID) int {
	return cmp.Or(cmp.Compare(id.ms, o.ms), cmp.Compare(id.seq, o.seq))
}
