package config

import (
	"errors"
	"net/url"
)

// aKeysURL is where a client's key set is fetched: https, or http on this machine.
var aKeysURL = parsed("URL", func(s string) (*url.URL, error) {
	u, err := keysURL(s)
	if err == nil && u.Scheme == "http" && !urlEndpoint(u).loopback() {
		return nil, errors.New("whoever is between could put in keys of their own — use https; http is for loopback")
	}
	return u, err
}).like(urlText)

// keysURL reads where a key set is.
func keysURL(s string) (*url.URL, error) {
	return ownRequestURL(s, "https://billing.example.com/jwks.json")
}

var errURLUser = errors.New("a URL with a user or password is not read — remove what stands before the @")

// ownRequestURL reads a URL that the gateway sends requests of its own to, such as the example. A query is part of it; what may be a
// password is not read and not repeated.
func ownRequestURL(s, example string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return nil, errors.New("expected an absolute https URL — such as " + example)
	case u.User != nil:
		return nil, errURLUser
	case u.Fragment != "":
		return nil, errors.New("a URL with a fragment is not read — remove what follows the #")
	case u.Hostname() == "" || !validPort(u):
		return nil, errors.New("expected a URL with a host, and a port from 1 to 65535 where one is given")
	}
	return u, nil
}

// clientKeys reads what jwks_file holds. What the keys are is for others to judge.
func (r *reader) clientKeys(c *Config, raw *rawClient) (out ClientKeys) {
	if raw.jwksFile.present() && raw.jwksURI.present() {
		r.fail(raw.jwksURI.at, "jwks_file and jwks_uri exclude each other — remove one")
		return out
	}
	out.Algorithms = algorithms
	if raw.algorithms.set {
		out.Algorithms = plainList(raw.algorithms)
	}
	switch {
	case raw.jwksFile.set:
		out.Pos = raw.jwksFile.at.pos()
		content, err := r.files.file(near(raw.jwksFile.at, raw.jwksFile.v), maxSmall)
		if err != nil {
			r.fail(raw.jwksFile.at, "%v", err)
		}
		out.JWKS = content
	case raw.jwksURI.set:
		out.Pos, out.URI = raw.jwksURI.at.pos(), raw.jwksURI.v.String()
		r.keysElsewhere(c, raw.jwksURI.at, raw.jwksURI.v, "the client")
	default:
		return ClientKeys{}
	}
	return out
}

// keysElsewhere refuses to fetch keys from one of our own listeners.
func (r *reader) keysElsewhere(c *Config, at node, u *url.URL, whose string) {
	for key, listen := range map[string]string{"server.listen": c.Server.Listen, "admin.listen": c.Admin.Listen} {
		if urlEndpoint(u).reaches(listenEndpoint(listen), machineAddrs) {
			r.fail(at, "is this gateway's own address (%s) — name where %s publishes its keys", key, whose)
			return
		}
	}
}
