// Package adminclient is how a command asks a running gatehouse: JSON over its admin listener, by TCP or a unix socket.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/secret"
)

const (
	callLimit = 30 * time.Second // for a call whose context has no end
	maxAnswer = 16 << 20         // bytes
)

// ErrUnreachable is the error where nobody answers at the address.
var ErrUnreachable = errors.New("cannot reach the admin listener")

// Error is an answer that says that something is wrong. Its text is the server's.
type Error struct {
	Status  int
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Client asks one admin listener. It is safe for concurrent use.
type Client struct {
	// OnCall, which may be nil, is told of each call when it is over: the method, where it went, and what came of it. Set it before the first.
	OnCall func(call string)

	address string
	token   secret.Text
	http    *http.Client
}

// New returns a client of the listener at address: host:port or unix:/path, as admin.listen has it. The token may be empty.
func New(address string, token secret.Text) *Client {
	transport := &http.Transport{DialContext: Dialer(address), DisableKeepAlives: true}
	return &Client{address: address, token: token, http: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Dialer connects to address, whatever a URL says. An address on every interface is reached by loopback.
func Dialer(address string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if socket, ok := strings.CutPrefix(address, "unix:"); ok {
			return d.DialContext(ctx, "unix", socket)
		}
		return d.DialContext(ctx, "tcp", dialable(address))
	}
}

// dialable turns an address to listen on into one to dial: every interface becomes loopback.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// Get reads the document at path into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// Post sends the document in to path and reads the answer into out. It is never sent twice.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

// Reload has the gatehouse read its configuration anew. A configuration that was refused is no error here: the answer then
// says what is wrong with it.
func (c *Client) Reload(ctx context.Context) (adminapi.Reloaded, error) {
	var out adminapi.Reloaded
	status, answer, err := c.send(ctx, http.MethodPost, "/api/v1/reload", nil)
	if err != nil {
		return out, err
	}
	if status == http.StatusUnprocessableEntity && json.Unmarshal(answer, &out) == nil && len(out.Errors) > 0 {
		return out, nil
	}
	return out, c.read(status, answer, &out)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, out any) error {
	status, answer, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	return c.read(status, answer, out)
}

// send returns the answer, whatever its status.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	if _, ends := ctx.Deadline(); !ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callLimit)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.Empty() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	began := time.Now()
	res, err := c.http.Do(req)
	c.note(method, path, res, time.Since(began))
	if err != nil {
		return 0, nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.shown(), unwrapURL(err))
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.shown(), err)
	}
	return res.StatusCode, answer, nil
}

// note tells OnCall of a call. res is nil where there was no answer.
func (c *Client) note(method, path string, res *http.Response, took time.Duration) {
	if c.OnCall == nil {
		return
	}
	came := "no answer"
	if res != nil {
		came = res.Status
	}
	c.OnCall(fmt.Sprintf("%s %s%s: %s, %s", method, c.shown(), path, came, took.Round(time.Millisecond)))
}

func (c *Client) read(status int, answer []byte, out any) error {
	if status != http.StatusOK {
		return refused(status, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s answered with something else than a gatehouse does: is it the address of admin.listen?", c.address)
	}
	return nil
}

// URL is where a browser reaches the listener; ok is false for a unix socket.
func (c *Client) URL() (url string, ok bool) {
	return "http://" + dialable(c.address), !strings.HasPrefix(c.address, "unix:")
}

// shown is the address that is dialled, as a person would paste it.
func (c *Client) shown() string {
	if strings.HasPrefix(c.address, "unix:") {
		return c.address
	}
	return "http://" + dialable(c.address)
}

// unwrapURL is err without the URL, which is not the one that was dialled.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// refused is the server's own words.
func refused(status int, answer []byte) error {
	var said adminapi.Error
	if err := json.Unmarshal(answer, &said); err == nil && said.Error != "" {
		return &Error{status, said.Error}
	}
	text := strings.TrimSpace(string(answer[:min(len(answer), 500)]))
	if text == "" {
		text = http.StatusText(status)
	}
	return &Error{status, text}
}
