// Package hook asks somebody else before a token is issued: a POST of JSON, signed as Standard Webhooks has it, whose answer may
// narrow the token's scopes, add claims to it, or deny it. Whatever else comes back, or does not come back, is an error, on
// which no token may be issued.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"gatehouse/internal/outbound"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
)

const (
	maxAnswer = 64 << 10 // bytes
	// maxAtOnce bounds the questions of one hook that wait for an answer: a hook that hangs takes no more of this process.
	maxAtOnce = 64
	// maxOfClient bounds those about one client, so that one that asks without end leaves room for all others.
	maxOfClient = maxAtOnce / 2
)

// Clients send the questions of all hooks, and keep connections for the next ones. They outlive reloads.
type Clients struct{ secure, local *http.Transport }

// NewClients returns Clients. Own are the gateway's own listeners, which no question goes to; config is nil for the system's
// roots. Redirects are not followed.
func NewClients(own func() []netip.AddrPort, config *tls.Config) *Clients {
	transport := func(loopback bool) *http.Transport {
		t := outbound.Transport(outbound.Options{Own: own, Loopback: loopback, TLS: config})
		t.MaxIdleConnsPerHost, t.IdleConnTimeout = maxAtOnce, time.Minute
		return t
	}
	return &Clients{secure: transport(false), local: transport(true)}
}

// Close ends the connections that are idle.
func (c *Clients) Close() {
	c.secure.CloseIdleConnections()
	c.local.CloseIdleConnections()
}

// Options are what a Hook needs. Everything is required but Now.
type Options struct {
	URL     *url.URL      // https, or http, which reaches loopback addresses alone
	Secret  secret.Text   // the key of the signature, byte for byte
	Timeout time.Duration // of one question, from the dialling to the last byte of the answer
	Clients *Clients
	Now     func() time.Time // dates the questions; nil: time.Now
}

// Hook is who is asked. It is safe for concurrent use.
type Hook struct {
	o    Options
	to   *http.Transport // without a client around it, which would read Location and quote it
	room room
}

// New returns a Hook.
func New(o Options) *Hook {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Hook{o: o, to: o.Clients.secure, room: room{of: map[string]int{}}}
	if o.URL.Scheme == "http" {
		h.to = o.Clients.local
	}
	return h
}

// Question is what is asked.
type Question struct {
	Client    string   `json:"client"`
	Audience  string   `json:"audience"`
	Scopes    []string `json:"scopes"` // that the token is to have
	Asked     []string `json:"asked"`  // that the client named; empty: none, so that it gets all that it is granted
	RequestID string   `json:"request_id"`
}

// Answer is what a hook said. Unless Deny is set, a token may be issued.
type Answer struct {
	// Scopes are what the token may have, all of them from the question.
	Scopes token.Scopes
	// Claims are what the token is to say besides. Their names and values are for token.CheckClaims to judge.
	Claims []token.Claim
	Deny   *Denial
}

// Denial is why the client gets no token, in the words of RFC 6749 section 5.2.
type Denial struct {
	Error       string // invalid_scope, invalid_request or access_denied
	Description string // for the client; "": none was given
}

// Ask waits for the answer, at most for the timeout. An error says what was wrong, for the log: it holds neither the query of
// the URL nor a byte of the answer.
func (h *Hook) Ask(ctx context.Context, q Question) (Answer, error) {
	if err := h.room.enter(q.Client); err != nil {
		return Answer{}, err
	}
	defer h.room.leave(q.Client)
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	text, err := h.post(ctx, q)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Answer{}, fmt.Errorf("no complete answer within %s", h.o.Timeout)
	case errors.Is(err, context.Canceled):
		return Answer{}, errors.New("the caller went away before there was an answer")
	case err != nil:
		return Answer{}, err
	}
	return readAnswer(text, q.Scopes)
}

// post returns the body of a 200.
func (h *Hook) post(ctx context.Context, q Question) ([]byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL can't be used")
	}
	h.sign(req.Header, token.NewID(), body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "gatehouse")
	res, err := h.to.RoundTrip(req)
	if err != nil {
		return nil, plain(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer was %d, want 200", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, plain(err)
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("the answer is larger than %d KiB", maxAnswer>>10)
	}
	return text, nil
}

// sign sets the headers of Standard Webhooks. The question changes nothing, so that it may be sent again where a connection
// that was kept turns out to be closed: that is what Idempotency-Key tells the transport.
func (h *Hook) sign(header http.Header, id string, body []byte) {
	sent := strconv.FormatInt(h.o.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(h.o.Secret.Reveal()))
	fmt.Fprintf(mac, "%s.%s.%s", id, sent, body)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", sent)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	header.Set("Idempotency-Key", id)
}
