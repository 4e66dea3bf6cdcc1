package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	maxAnswer = 1 << 20 // of a token endpoint, in bytes
	patience  = 30 * time.Second
)

// Target is where the gateway is, and who asks there.
type Target struct {
	TokenURL, RevokeURL string // RFC 6749 section 3.2, RFC 7009
	CallURL             string // of an API, asked by GET; needed for all scenarios but Token
	// DeniedURL is one that the client's tokens lack a scope for, which Mixed asks for as well; "" is none.
	DeniedURL       string
	Client, Secret  string // go by Basic authentication
	Audience, Scope string // of the tokens; "": the gateway chooses
}

// asker sends single requests. It is safe for concurrent use.
type asker struct {
	Target
	call, denied *url.URL
	form, basic  string
	transport    *http.Transport
}

func newAsker(t Target, connections int) (a *asker, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"audience": t.Audience, "scope": t.Scope} {
		if value != "" {
			form.Set(name, value)
		}
	}
	a = &asker{Target: t, form: form.Encode()}
	var header http.Request
	header.Header = http.Header{}
	header.SetBasicAuth(url.QueryEscape(t.Client), url.QueryEscape(t.Secret)) // RFC 6749 section 2.3.1
	a.basic = header.Header.Get("Authorization")
	if a.call, err = url.Parse(t.CallURL); err != nil {
		return nil, err
	}
	if a.denied, err = url.Parse(t.DeniedURL); err != nil {
		return nil, err
	}
	// HTTP/1.1 alone, since HTTP/2 would have all workers share one connection.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	a.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, Protocols: protocols, DisableCompression: true,
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, ResponseHeaderTimeout: patience, TLSHandshakeTimeout: patience}
	return a, nil
}

// do sends one request and reads the answer to its end. It follows no redirect: what the gateway says is what counts.
func (a *asker) do(req *http.Request, read func(*http.Response) error) (status int, err error) {
	res, err := a.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if read != nil {
		if err := read(res); err != nil {
			return res.StatusCode, err
		}
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	return res.StatusCode, nil
}

// post sends a form as the client.
func (a *asker) post(ctx context.Context, to, form string, read func(*http.Response) error) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		return 0, err
	}
	req.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	req.Header["Authorization"] = []string{a.basic}
	return a.do(req, read)
}

// held is a token that a worker has.
type held struct {
	bearer string
	renew  time.Time     // a token that is as old as that is replaced before it is used
	call   *http.Request // with it; sent again and again, by one worker
}

// issue asks for a token. Where the answer has none, t is nil, and answer what it says.
func (a *asker) issue(ctx context.Context) (t *held, answer Refused, err error) {
	var body struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
		Error       string  `json:"error"`
		Description string  `json:"error_description"`
	}
	asked := time.Now()
	answer.URL = a.TokenURL
	answer.Status, err = a.post(ctx, a.TokenURL, a.form, func(res *http.Response) error {
		text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		answer.RetryAfter = res.Header.Get("Retry-After")
		json.Unmarshal(text, &body) // what is no JSON has no token
		return err
	})
	answer.Code, answer.Description = body.Error, body.Description
	if err != nil || answer.Status != http.StatusOK || body.AccessToken == "" {
		return nil, answer, err
	}
	life := time.Duration(min(max(body.ExpiresIn, 1), 1e9) * float64(time.Second))
	t = &held{bearer: body.AccessToken, renew: asked.Add(life * 3 / 4)}
	t.call = get(a.call, t.bearer)
	return t, answer, nil
}

// revoke ends a token.
func (a *asker) revoke(ctx context.Context, t *held) (int, error) {
	return a.post(ctx, a.RevokeURL, url.Values{"token": {t.bearer}}.Encode(), nil)
}

// get makes a request with a token; "" is none.
func get(to *url.URL, bearer string) *http.Request {
	req := &http.Request{Method: http.MethodGet, URL: to, Host: to.Host, Header: http.Header{}}
	if bearer != "" {
		req.Header["Authorization"] = []string{"Bearer " + bearer}
	}
	return req
}

// cause is why there was no answer, without addresses and ports, so that equal ones count together.
func cause(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.Canceled) {
		return "timeout"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?' // the text may be the peer's
	}
	return strings.Map(printable, fmt.Sprintf("%.80s", err.Error()))
}
