package config

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestIssuers(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "issuers")
	for i := range c.Issuers {
		if c.Issuers[i].Pos.Line == 0 {
			t.Errorf("issuer %s stands nowhere", c.Issuers[i].Name)
		}
		c.Issuers[i].Pos = Pos{}
	}
	want := []Issuer{
		{Name: "corp", Issuer: "https://login.example.com/", Algorithms: []string{"RS256"}, Types: []string{"at+jwt", "JWT", "none"},
			ScopeClaims: []string{"scope", "scp"}, ClientClaims: []string{"client_id", "azp", "appid", "cid"}, MaxLifetime: 24 * time.Hour, MaxStale: time.Hour},
		{Name: "partner", Issuer: "http://partner.internal/realm/", JWKSURI: "http://partner.internal:8000/keys?tenant=a", Algorithms: []string{"ES256", "EdDSA"},
			Types: []string{"none"}, ScopeClaims: []string{"https://partner.example/scopes"}, ClientClaims: []string{"sub"},
			MaxLifetime: 10 * time.Minute, MaxStale: 2 * time.Hour, Insecure: true},
	}
	if !reflect.DeepEqual(c.Issuers, want) {
		t.Errorf("issuers %+v, want %+v", c.Issuers, want)
	}
	if got := c.APIs[0].Issuers; !slices.Equal(got, []string{"local", "corp"}) {
		t.Errorf("the API's issuers are %q", got)
	}
}
