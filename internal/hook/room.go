package hook

import (
	"fmt"
	"sync"
)

// room counts the questions that wait for an answer. Safe for concurrent use.
type room struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by client
}

// enter returns an error where there is no place left.
func (r *room) enter(client string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.all >= maxAtOnce:
		return fmt.Errorf("%d questions wait for an answer already", r.all)
	case r.of[client] >= maxOfClient:
		return fmt.Errorf("%d questions about this client wait for an answer already", r.of[client])
	}
	r.all++
	r.of[client]++
	return nil
}

func (r *room) leave(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.of[client]--; r.of[client] == 0 {
		delete(r.of, client)
	}
}
