package redisx

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

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

// draw makes a topology of what the node at from said.
func (k *cluster) draw(parts []redis.ClusterSlot, from string) (*topology, error) {
	top := &topology{slots: make([]uint8, slots), nowhere: k.nowhere, known: true}
	for _, p := range parts {
		if len(p.Nodes) == 0 || p.Start < 0 || p.End >= slots {
			continue
		}
		s := k.at(complete(p.Nodes[0].Addr, from)) // the master stands first
		i := slices.Index(top.masters, s)
		if i < 0 {
			i = len(top.masters)
			top.masters = append(top.masters, s)
		}
		if i >= maxMasters {
			return nil, fmt.Errorf("the cluster has more than %d masters", maxMasters)
		}
		for slot := p.Start; slot <= p.End; slot++ {
			top.slots[slot] = uint8(i + 1)
		}
	}
	if len(top.masters) == 0 {
		return nil, errors.New("it knows of no master")
	}
	return top, nil
}

// complete is an address with the host of the node that told it where it has none, as the protocol wants.
func complete(addr, from string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "" && host != "?" {
		return addr
	}
	host, _, err = net.SplitHostPort(from)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, port)
}

// giveBeatKeys gives each master a key to write, prefix:{n}:beat with the least n that makes it one of its own.
func giveBeatKeys(prefix string, top *topology) {
	var lacking []*server
	for _, s := range top.masters {
		if key := *s.beatKey.Load(); key == "" || top.owner(key) != s {
			lacking = append(lacking, s)
		}
	}
	for n := 0; len(lacking) > 0 && n < 100*slots; n++ {
		key := prefix + ":{" + strconv.Itoa(n) + "}:beat"
		if i := slices.Index(lacking, top.owner(key)); i >= 0 {
			lacking[i].beatKey.Store(&key)
			lacking = slices.Delete(lacking, i, i+1)
		}
	}
}
