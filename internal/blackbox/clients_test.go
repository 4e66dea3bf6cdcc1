package blackbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// stranger is an OAuth client of somebody else: a script under testdata/clients that gets tokens and calls API a.
type stranger struct {
	name    string
	command []string
	calls   int      // how often it calls the API as the client
	odd     int      // the same as the client whose id has a colon, which Basic can't carry without RFC 6749's encoding
	needs   []string // what else must run with success for the client to be there
	signs   bool     // it calls once more, as c-pk
}

var strangers = []stranger{
	{name: "curl", command: []string{"sh", "curl.sh"}, calls: 3, odd: 1, needs: []string{"curl", "--version"}},
	{name: "oauth4webapi", command: []string{"node", "oauth4webapi.mjs"}, calls: 2, odd: 2, needs: nodeModule("oauth4webapi"), signs: true},
	{name: "openid-client", command: []string{"node", "openid-client.mjs"}, calls: 2, odd: 2, needs: nodeModule("openid-client"), signs: true},
	{name: "simple-oauth2", command: []string{"node", "simple-oauth2.mjs"}, calls: 3, odd: 3, needs: nodeModule("simple-oauth2")},
	{name: "requests-oauthlib", command: []string{python, "requests_oauthlib_client.py"}, calls: 2, odd: 1, needs: []string{python, "-c", "import requests_oauthlib"}},
	{name: "authlib", command: []string{python, "authlib_client.py"}, calls: 2, odd: 1, needs: []string{python, "-c", "import authlib, requests"}},
}

// python is the one that the system's packages belong to, where there is more than one.
var python = func() string {
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		return "/usr/bin/python3"
	}
	return "python3"
}()

// nodeModule is a command that succeeds where the module is installed.
func nodeModule(name string) []string {
	return []string{"node", "--input-type=module", "-e", "await import('" + name + "')"}
}

// TestClients has clients of other people get a token and call an API. Where one is not installed it is left out, unless
// GATEHOUSE_CLIENTS is "required", as in CI.
func TestClients(t *testing.T) {
	c := &call{T: t, deployment: deploy(t, plan{engine: embedded})}
	for _, s := range strangers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			installed(t, s.needs)
			one := &call{T: t, deployment: c.deployment}
			one.stranger(s, "c-multi", s.calls)
			one.stranger(s, "c-phrase", s.calls)
			one.stranger(s, oddID, s.odd)
		})
	}
	t.Run("x-oauth2", func(t *testing.T) {
		t.Parallel()
		(&call{T: t, deployment: c.deployment}).goClient()
	})
	t.Run("jose", func(t *testing.T) {
		t.Parallel()
		installed(t, nodeModule("jose"))
		(&call{T: t, deployment: c.deployment}).jose()
	})
}

// installed skips the test where the client is not there, or fails it where it must be.
func installed(t *testing.T, needs []string) {
	t.Helper()
	cmd := exec.Command(needs[0], needs[1:]...)
	cmd.Dir = filepath.Join("testdata", "clients")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv("GATEHOUSE_CLIENTS") == "required" {
		t.Fatalf("%s: %v\n%s\ninstall it: make clients", strings.Join(needs, " "), err, out)
	}
	t.Skipf("not installed: make clients installs it")
}

// stranger runs the script as a client of the fixture and reads what the API said of who called.
func (c *call) stranger(s stranger, id string, calls int) {
	c.Helper()
	var members map[string]any
	body := ""
	if id != oddID {
		members = map[string]any{"grant_type": "client_credentials", "client_id": id, "client_secret": c.secrets[id], "audience": apiA, "scope": "read:a"}
		text, err := json.Marshal(members)
		if err != nil {
			c.Fatal(err)
		}
		body = string(text)
	}
	out := c.script(s.command, "CLIENT_ID="+id, "CLIENT_SECRET="+c.secrets[id], "AUDIENCE="+apiA, "API="+c.nodes[0].url+"/a", "JSON_BODY="+body,
		"PRIVATE_CLIENT_ID=c-pk", "PRIVATE_JWK="+c.privateJWK("c-pk"), "RS_ID=rs-a", "RS_SECRET="+c.secrets["rs-a"])
	want := []string{}
	for range calls {
		want = append(want, id+" read:a")
	}
	if s.signs {
		want = append(want, "c-pk read:a")
	}
	var got []string
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var m struct{ Client, Scopes string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			c.Fatalf("%s printed %q: %v", s.name, out, err)
		}
		name, err := url.PathUnescape(m.Client) // bytes that a header can't hold come percent-encoded
		if err != nil {
			c.Fatal(err)
		}
		got = append(got, name+" "+m.Scopes)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		c.Errorf("%s as %q: the API saw %q, want %q", s.name, id, got, want)
	}
}

// script runs a script of testdata/clients and returns what it printed.
func (c *call) script(command []string, env ...string) string {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, errOut bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join("testdata", "clients"), &out, &errOut
	cmd.Env = append(environment(), append(env, "ISSUER="+c.issuer)...)
	if err := cmd.Run(); err != nil {
		c.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, out.String(), errOut.String())
	}
	return out.String()
}

// privateJWK is the private key of a client that signs, as its own program would hold it.
func (c *call) privateJWK(id string) string {
	c.Helper()
	k, ok := c.partners.keys[id].(*ecdsa.PrivateKey)
	if !ok {
		c.Fatalf("%s has no EC key", id)
	}
	d, err := k.Bytes()
	if err != nil {
		c.Fatal(err)
	}
	var set struct{ Keys []jwk }
	if err := json.Unmarshal([]byte(c.partners.set(id)), &set); err != nil {
		c.Fatal(err)
	}
	set.Keys[0]["d"] = b64(d)
	delete(set.Keys[0], "use")
	text, err := json.Marshal(set.Keys[0])
	if err != nil {
		c.Fatal(err)
	}
	return string(text)
}

// goClient is golang.org/x/oauth2, in each of its styles.
func (c *call) goClient() {
	for _, id := range []string{"c-multi", "c-phrase", oddID} {
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect} {
			config := clientcredentials.Config{ClientID: id, ClientSecret: c.secrets[id], TokenURL: c.issuer + tokenPath, Scopes: []string{"read:a"},
				EndpointParams: url.Values{"audience": {apiA}}, AuthStyle: style}
			res, err := config.Client(c.Context()).Get(c.nodes[0].url + "/a")
			if err != nil {
				c.Fatalf("%s, style %d: %v", id, style, err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				c.Errorf("%s, style %d: %s %s", id, style, res.Status, body)
			}
		}
	}
}

// jose verifies a token of each algorithm and of the other dialect.
func (c *call) jose() {
	type item struct {
		Token    string `json:"token"`
		Audience string `json:"audience"`
		Alg      string `json:"alg"`
		Typ      string `json:"typ"`
	}
	list := []item{{c.token("c-c").raw, apiC, "RS256", "JWT"}}
	for audience, alg := range map[string]string{apiA: "RS256", apiB: "ES256", apiP: "PS256", apiE: "EdDSA"} {
		list = append(list, item{c.token("c-algs", "audience", audience).raw, audience, alg, "at+jwt"})
	}
	text, err := json.Marshal(list)
	if err != nil {
		c.Fatal(err)
	}
	if out := c.script([]string{"node", "jose.mjs"}, "TOKENS="+string(text)); strings.Count(out, "\n") != len(list) {
		c.Errorf("jose verified of %d tokens:\n%s", len(list), out)
	}
}
