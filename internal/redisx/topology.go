package redisx

// topology is which master has which keys. It is immutable.
type topology struct {
	masters []*server
	// one is the master of every key; nil in a cluster.
	one *server
	// slots holds for each slot the position in masters, plus one; 0: nobody serves it.
	slots []uint8
	// nowhere stands for the master of slots that have none. It has no connection, and no call to it is sent.
	nowhere *server
	// known is whether the cluster was ever reached.
	known bool
}

// maxMasters is how many masters a cluster may have here, so that a slot's takes a byte. Redis's own manual ends at about 1000
// nodes, replicas among them; a rate limiter is done at a fraction of that.
const maxMasters = 255

// sole is the topology of a Redis with one master.
func sole(s *server) *topology { return &topology{masters: []*server{s}, one: s, known: true} }

// owner is the server to ask about a key.
func (t *topology) owner(key string) *server {
	if t.one != nil {
		return t.one
	}
	return t.of(slotOf(key))
}

func (t *topology) of(slot int) *server {
	if t.slots == nil || t.slots[slot] == 0 {
		return t.nowhere
	}
	return t.masters[t.slots[slot]-1]
}

// none is the server that stands for no master; nil but in a cluster.
func (c *Client) none() *server {
	if c.cluster == nil {
		return nil
	}
	return c.cluster.nowhere
}
