package load

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxSpare is how many tokens a worker keeps for revocation once newer ones have taken their places.
const maxSpare = 64

// worker is one connection's worth of load: it sends one request at a time, and counts.
type worker struct {
	*asker
	scenario Scenario
	tokens   []*held // take turns
	turn     int
	spare    []*held // of no more use but to be revoked
	refused  int     // the turn of the ways to be refused

	latency    Histogram
	statuses   map[int]uint64
	unexpected map[Unexpected]uint64
}

// asked is what became of one request.
type asked struct {
	what, want string
	ok         func(status int) bool
	status     int
	err        error
}

// work sends requests until the pace has no more. They are counted where counted is set, but for what the end of user cut short.
func (w *worker) work(ctx, user context.Context, p *pace, counted bool) {
	for {
		if w.turn++; w.turn >= len(w.tokens) {
			w.turn = 0
		}
		if w.scenario != Token && !time.Now().Before(w.tokens[w.turn].renew) {
			if err := w.renew(ctx, w.turn); err != nil && user.Err() == nil {
				w.miss(asked{what: "token", want: "200"}, cause(err))
				w.tokens[w.turn].renew = time.Now().Add(time.Second) // it may still be good, and its refusal would be counted
			}
		}
		meant, ok := p.take(user)
		if !ok {
			return
		}
		a := w.next(ctx)
		took := time.Since(meant)
		if user.Err() != nil && a.err != nil {
			return
		}
		if counted {
			w.count(a, took)
		}
		if a.err != nil {
			pause(user)
		}
	}
}

// pause keeps a worker from asking a gateway that is away as fast as it can.
func pause(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
}

// renew replaces a token by a new one.
func (w *worker) renew(ctx context.Context, i int) error {
	t, answer, err := w.issue(ctx)
	if err != nil {
		return err
	}
	if t == nil {
		return &answer
	}
	if w.scenario == Revoked {
		status, err := w.revoke(ctx, t)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return &Refused{URL: w.RevokeURL, Status: status}
		}
	}
	w.tokens[i] = t
	return nil
}

// next sends the next request of the scenario.
func (w *worker) next(ctx context.Context) asked {
	switch w.scenario {
	case Token:
		return w.newToken(ctx)
	case Revoked:
		return w.answered(ctx, w.tokens[w.turn].call, "call with a revoked token", http.StatusUnauthorized)
	case Mixed:
		switch n := rand.IntN(100); {
		case n < 5:
			return w.newToken(ctx)
		case n < 9:
			return w.refuse(ctx)
		case n < 10 && len(w.spare) > 0:
			return w.end(ctx)
		}
	}
	status, err := w.do(w.tokens[w.turn].call.WithContext(ctx), nil)
	return asked{"call", "2xx", func(status int) bool { return status/100 == 2 }, status, err}
}

// newToken asks for a token, which takes the place of the one whose turn it is.
func (w *worker) newToken(ctx context.Context) asked {
	t, answer, err := w.issue(ctx)
	if t != nil && w.scenario == Mixed {
		if len(w.spare) < maxSpare {
			w.spare = append(w.spare, w.tokens[w.turn])
		}
		w.tokens[w.turn] = t
	}
	return asked{"token", "200", func(int) bool { return t != nil }, answer.Status, err}
}

// end revokes a token that no call is made with any more.
func (w *worker) end(ctx context.Context) asked {
	last := len(w.spare) - 1
	t := w.spare[last]
	w.spare = w.spare[:last]
	status, err := w.revoke(ctx, t)
	return asked{"revocation", "200", is(http.StatusOK), status, err}
}

// refuse sends what must be refused, each way in turn.
func (w *worker) refuse(ctx context.Context) asked {
	bearer := w.tokens[w.turn].bearer
	ways := 3
	if w.DeniedURL == "" {
		ways = 2
	}
	w.refused++
	switch w.refused % ways {
	case 0:
		return w.answered(ctx, get(w.call, ""), "call without a token", http.StatusUnauthorized)
	case 1:
		return w.answered(ctx, get(w.call, forged(bearer)), "call with a bad signature", http.StatusUnauthorized)
	}
	return w.answered(ctx, get(w.denied, bearer), "call without the scope", http.StatusForbidden)
}

// answered sends a request that must be answered by one status.
func (w *worker) answered(ctx context.Context, req *http.Request, what string, want int) asked {
	status, err := w.do(req.WithContext(ctx), nil)
	return asked{what, strconv.Itoa(want), is(want), status, err}
}

func is(want int) func(int) bool { return func(status int) bool { return status == want } }

// forged is the token with another signature, a new one each time, so that no memory of the last one helps.
func forged(token string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.LastIndexByte(token, '.') + 1
	text := []byte(token)
	for i := at; i < min(at+12, len(text)); i++ {
		text[i] = digits[rand.IntN(len(digits))]
	}
	return string(text)
}

// count adds one answer to what the worker has seen.
func (w *worker) count(a asked, took time.Duration) {
	w.latency.Add(took)
	if a.err != nil {
		w.miss(a, cause(a.err))
		return
	}
	w.statuses[a.status]++
	if !a.ok(a.status) {
		w.miss(a, strconv.Itoa(a.status))
	}
}

// miss counts an answer that the scenario has no place for.
func (w *worker) miss(a asked, got string) {
	u := Unexpected{Request: a.what, Want: a.want, Got: got}
	if len(w.unexpected) >= maxKinds && w.unexpected[u] == 0 {
		u.Got = "other"
	}
	w.unexpected[u]++
}
