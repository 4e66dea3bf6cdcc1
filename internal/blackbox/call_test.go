package blackbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// call is one row at work: a caller with an address of its own, so that no row counts in another's lock-out.
type call struct {
	*testing.T
	*deployment
	from string // what X-Forwarded-For says; "": nothing
}

var sources atomic.Uint32

func newSource() string {
	n := sources.Add(1)
	return fmt.Sprintf("198.18.%d.%d", n>>8, n&0xff)
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

const grantType = "grant_type=client_credentials"

var client = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request to a node and reads the answer.
func (c *call) do(n *node, method, path, body string, header ...string) answer {
	c.Helper()
	a, err := c.try(n, method, path, body, header...)
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *call) try(n *node, method, path, body string, header ...string) (answer, error) {
	r, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if c.from != "" {
		r.Header.Set("X-Forwarded-For", c.from)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(data)}, err
}

const tokenPath, revokePath, introspectPath = "/oauth/token", "/oauth/revoke", "/oauth/introspect"

// post sends a form to an endpoint of the first node.
func (c *call) post(path, body string, header ...string) answer {
	c.Helper()
	return c.postTo(c.nodes[0], path, body, header...)
}

func (c *call) postTo(n *node, path, body string, header ...string) answer {
	c.Helper()
	return c.do(n, http.MethodPost, path, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// cc is a token request by Basic with these credentials; the form has grant_type and the parameters.
func (c *call) cc(id, secret string, params ...string) answer {
	c.Helper()
	return c.post(tokenPath, grantType+"&"+form(params...), "Authorization", basic(id, secret))
}

// ask is a token request of a client of the fixture, with its own secret by its own method.
func (c *call) ask(id string, params ...string) answer {
	c.Helper()
	return c.askOf(c.nodes[0], id, params...)
}

func (c *call) askOf(n *node, id string, params ...string) answer {
	c.Helper()
	body := grantType + "&" + form(params...)
	switch id {
	case "c-post":
		return c.postTo(n, tokenPath, body+"&"+form("client_id", id, "client_secret", c.secrets[id]))
	case "c-pk", "c-pk2", "c-pkrs":
		return c.postTo(n, tokenPath, body+"&"+c.proof(id, nil, nil))
	}
	return c.postTo(n, tokenPath, body, "Authorization", basic(id, c.secrets[id]))
}

// token is ask, for a token that must be issued.
func (c *call) token(id string, params ...string) jwt {
	c.Helper()
	return c.issued(c.ask(id, params...))
}

// form encodes pairs in their order.
func form(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1]))
	}
	return b.String()
}

// basic encodes id and secret as RFC 6749 section 2.3.1 asks; rawBasic takes what stands between the encodings.
func basic(id, secret string) string {
	return rawBasic(url.QueryEscape(id) + ":" + url.QueryEscape(secret))
}

func rawBasic(pair string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

// object is the body, which must be one JSON object. Numbers stay as they are written.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil || d.More() {
		t.Fatalf("the body is not one JSON object: %q (%v)", a.body, err)
	}
	return m
}

func (a answer) text(t testing.TB, member string) string {
	t.Helper()
	s, _ := a.object(t)[member].(string)
	return s
}

var errorText = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

// isError holds what is true of every error of the token endpoints: a JSON object that no cache keeps, in the characters
// of RFC 6749 section 5.2, with the challenge where a client has to authenticate.
func (c *call) isError(a answer) {
	c.Helper()
	if media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); media != "application/json" {
		c.Errorf("Content-Type %q", a.header.Get("Content-Type"))
	}
	c.notStored(a)
	m := a.object(c)
	for name, value := range m {
		s, ok := value.(string)
		if !ok || !errorText.MatchString(s) {
			c.Errorf("member %s is %v", name, value)
		}
	}
	if m["error"] == "" || m["error"] == nil {
		c.Errorf("no error in %s", a.body)
	}
	if challenge := a.header.Get("WWW-Authenticate"); a.status == 401 && !strings.HasPrefix(challenge, `Basic realm="`) {
		c.Errorf("401 with WWW-Authenticate %q", challenge)
	}
	if a.status == 429 || a.status == 503 {
		if !regexp.MustCompile(`^[0-9]+$`).MatchString(a.header.Get("Retry-After")) {
			c.Errorf("%d with Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
	}
}

// notStored holds RFC 6749 section 5.1.
func (c *call) notStored(a answer) {
	c.Helper()
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		c.Errorf("Cache-Control %q, Pragma %q", a.header.Get("Cache-Control"), a.header.Get("Pragma"))
	}
}

// refused holds that the answer is this error.
func (c *call) refused(a answer, status int, word string) {
	c.Helper()
	if a.status != status {
		c.Errorf("status %d, want %d %s: %s", a.status, status, word, a.body)
		return
	}
	c.isError(a)
	if got := a.text(c, "error"); got != word {
		c.Errorf("error %q, want %q: %s", got, word, a.body)
	}
}

// issued holds what is true of every token response, and returns the token, verified by the published keys.
func (c *call) issued(a answer) jwt {
	c.Helper()
	return c.issuedBy(c.nodes[0], a)
}

func (c *call) issuedBy(n *node, a answer) jwt {
	c.Helper()
	if a.status != http.StatusOK {
		c.Fatalf("status %d, want a token: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		c.Errorf("Content-Type %q", got)
	}
	c.notStored(a)
	m := a.object(c)
	for name := range m {
		if !slices.Contains([]string{"access_token", "token_type", "expires_in", "scope", "authorization_details", "issued_token_type"}, name) {
			c.Errorf("the response has a member %q", name)
		}
	}
	if m["token_type"] != "Bearer" {
		c.Errorf("token_type %v", m["token_type"])
	}
	j := c.verify(n, a.text(c, "access_token"))
	if got, want := fmt.Sprint(m["expires_in"]), j.int(c, "exp")-j.int(c, "iat"); got != fmt.Sprint(want) || want <= 0 {
		c.Errorf("expires_in %s, and exp - iat is %d", got, want)
	}
	if scope, _ := m["scope"].(string); !slices.Equal(words(scope), words(fmt.Sprint(j.claims["scope"]))) {
		c.Errorf("scope %q in the response, %v in the token", scope, j.claims["scope"])
	}
	return j
}

// words are the scopes in a string, sorted. Where there is none it is empty.
func words(s string) []string {
	if s == "<nil>" {
		return nil
	}
	list := strings.Fields(s)
	slices.Sort(list)
	return list
}

// api calls the API at a path with a token.
func (c *call) api(n *node, path, token string) answer {
	c.Helper()
	return c.do(n, http.MethodGet, path, "", "Authorization", "Bearer "+token)
}

// passes and denied hold what the gateway says of a token.
func (c *call) passes(n *node, path string, j jwt) {
	c.Helper()
	if a := c.api(n, path, j.raw); a.status != http.StatusOK {
		c.Errorf("GET %s: %d %s", path, a.status, a.body)
	}
}

func (c *call) denied(n *node, path string, j jwt, reason string) {
	c.Helper()
	a := c.api(n, path, j.raw)
	if a.status != http.StatusUnauthorized || a.text(c, "reason") != reason || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		c.Errorf("GET %s: %d %v %s, want 401 %s", path, a.status, a.header["Www-Authenticate"], a.body, reason)
	}
}

// endsWithin waits for the gateway to refuse a token, for no longer than limit.
func (c *call) endsWithin(n *node, path string, j jwt, limit time.Duration, reason string) {
	c.Helper()
	began := time.Now()
	for {
		asked := time.Now()
		if a := c.api(n, path, j.raw); a.status == http.StatusUnauthorized {
			break
		}
		if asked.Sub(began) > limit {
			c.Fatalf("%s let the token through %s after its end", n.config, asked.Sub(began))
		}
	}
	c.denied(n, path, j, reason)
}

// alike holds that two answers can't be told apart.
func (c *call) alike(name string, got, want answer) {
	c.Helper()
	strip := func(a answer) http.Header {
		h := a.header.Clone()
		for _, own := range []string{"Date", "X-Request-Id"} {
			h.Del(own)
		}
		return h
	}
	var b1, b2 bytes.Buffer
	strip(got).Write(&b1)
	strip(want).Write(&b2)
	if got.status != want.status || got.body != want.body || b1.String() != b2.String() {
		c.Errorf("%s: %d %q\n%s, want %d %q\n%s", name, got.status, got.body, b1.String(), want.status, want.body, b2.String())
	}
}

// together runs f n times on several goroutines at once.
func together(n, workers int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				f(i - 1)
			}
		})
	}
	wg.Wait()
}

// gatehouse runs a command on the configuration of the first node.
func (c *call) gatehouse(args ...string) result {
	c.Helper()
	return command(c, nil, append(args, "-c", c.nodes[0].config)...)
}
