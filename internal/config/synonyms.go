package config

import (
	"strings"
)

// synonyms are the keys that other gateways and servers have for what is written here in another way, by section.
var synonyms = map[string]map[string]string{
	"": {
		"services": "apis", "backends": "apis", "upstreams": "apis", "proxy": "apis", "logging": "log", "auth": "tokens", "jwt": "tokens",
	},
	"server": {
		"port": "listen: 127.0.0.1:8080", "address": "listen", "addr": "listen", "bind": "listen", "host": "listen", "url": "public_url", "base_url": "public_url", "issuer": "public_url",
		"ssl": "tls",
	},
	"tls": {
		"cert": "cert_file", "certificate": "cert_file", "crt": "cert_file", "key": "key_file", "private_key": "key_file", "ca": "ca_file, or client_ca_file on the server",
	},
	"redis": {
		"host": `addrs: ["127.0.0.1:6379"]`, "port": `addrs: ["127.0.0.1:6379"]`, "url": `addrs: ["127.0.0.1:6379"]`, "address": "addrs", "endpoint": "addrs", "hosts": "addrs", "nodes": "addrs", "servers": "addrs",
		"db": "prefix, which keeps fleets apart: database 0 is the one that is used", "database": "prefix, which keeps fleets apart: database 0 is the one that is used", "user": "username", "timeout": "budget", "sentinel": "mode: sentinel", "cluster": "mode: cluster",
	},
	"apis": {
		"aud": "audience", "identifier": "audience", "url": "upstream", "backend": "upstream", "target": "upstream", "service": "upstream", "prefix": "strip_prefix", "path": "routes, each with a match",
		"host": "hosts", "domains": "hosts", "permissions": "scopes", "ratelimit": "rate_limit", "limit": "rate_limit", "observe": "mode: observe", "dry_run": "mode: observe", "enabled": "mode: observe, or take the API out", "endpoints": "routes", "operations": "routes",
	},
	"routes": {
		"path": "match: GET /path", "pattern": "match: GET /path", "url": "match: GET /path", "uri": "match: GET /path", "method": "match: GET /path", "methods": "match, one route for each method",
		"public": "auth: public", "authenticated": "auth: token", "anonymous": "auth: public", "permissions": "scopes", "roles": "scopes", "limit": "rate_limit", "ratelimit": "rate_limit",
		"upstream": "an API of its own: all routes of an API have its upstream",
	},
	"rate_limit": {
		"rps": "requests: …, per: 1s", "rpm": "requests: …, per: 1m", "limit": "requests", "rate": "requests", "count": "requests", "window": "per", "period": "per", "interval": "per", "duration": "per", "unit": "per: 1s", "key": "by",
	},
	"quota":   {"requests": "tokens", "limit": "tokens", "window": "per", "period": "per"},
	"issuers": {"url": "issuer", "iss": "issuer", "jwks": "jwks_uri", "jwks_url": "jwks_uri", "alg": "algorithms", "algorithm": "algorithms"},
	"clients": {
		"id": "the key of the client itself", "client_id": "the key of the client itself", "name": "the key of the client itself",
		"scopes": "grants: {API: [SCOPE]}", "scope": "grants: {API: [SCOPE]}", "audience": "grants: {API: [SCOPE]}", "apis": "grants: {API: [SCOPE]}",
		"secret": "secrets: [{sha256: …}], of which gatehouse client create makes both", "client_secret": "secrets: [{sha256: …}], of which gatehouse client create makes both",
		"hash": "secrets: [{sha256: …}]", "secret_hash": "secrets: [{sha256: …}]", "sha256": "secrets: [{sha256: …}]", "enabled": "disabled", "active": "disabled", "jwks": "jwks_file or jwks_uri", "jwks_url": "jwks_uri", "public_key": "jwks_file",
	},
	"secrets": {"secret": "sha256, which is made by: printf %s \"$SECRET\" | sha256sum", "hash": "sha256 or argon2id", "bcrypt": "argon2id", "value": "sha256", "expires": "not_after", "expires_at": "not_after", "expiry": "not_after", "name": "note"},
}

// synonym is what to write for a key of another's vocabulary in the section at a path; "" where none is known.
func synonym(name, at string) string {
	parts := strings.Split(at, ".")
	section := strings.TrimPrefix(parts[len(parts)-1], "upstream_")
	if len(parts) == 2 && (parts[0] == "apis" || parts[0] == "issuers" || parts[0] == "clients") {
		section = parts[0]
	}
	if meant := synonyms[section][strings.ToLower(strings.ReplaceAll(name, "-", "_"))]; meant != "" {
		return " — here it is " + meant
	}
	return ""
}
