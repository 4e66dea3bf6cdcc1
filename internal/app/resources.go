package app

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/tokenep"
)

// resourcePath is where an API's metadata is, before the path of its audience (RFC 9728 §3).
const resourcePath = "/.well-known/oauth-protected-resource"

// resources are the metadata documents of APIs: by host and path, and their URLs by the API's name. Of two APIs that would
// have one place, the first by name has it.
func resources(cfg *config.Config) (documents map[string]map[string]http.Handler, urls map[string]string) {
	documents, urls = map[string]map[string]http.Handler{}, map[string]string{}
	for _, api := range cfg.APIs {
		u, ok := documented(cfg, api)
		if !ok {
			continue
		}
		host, at := strings.ToLower(u.Hostname()), resourcePath
		if u.Path != "/" { // RFC 9728 §3.1
			at += u.Path
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if documents[host] == nil {
			documents[host] = map[string]http.Handler{}
		}
		if documents[host][at] != nil {
			continue
		}
		documents[host][at] = tokenep.Resource(document(cfg, api))
		urls[api.Name] = u.Scheme + "://" + u.Host + at
	}
	return documents, urls
}

// documented is an API's audience as a URL, where it is one that leads here: on the host of the public URL, or on one of
// the API's own. Another audience is only a name, and a document of it would be believed by nobody.
func documented(cfg *config.Config, api config.API) (u *url.URL, ok bool) {
	u, err := url.Parse(api.Audience)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(api.Audience, `?#%{}\`) ||
		u.Path != "" && path.Clean(u.Path) != "/"+strings.Trim(u.Path, "/") {
		return nil, false
	}
	host := strings.ToLower(u.Hostname())
	here := slices.ContainsFunc(api.Hosts, func(h string) bool { return strings.Trim(h, "[]") == host })
	public := cfg.Server.PublicURL
	return u, here || host == strings.ToLower(public.Hostname()) && port(u) == port(public)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// document says what the routes of an API ask for.
func document(cfg *config.Config, api config.API) tokenep.ResourceDocument {
	d := tokenep.ResourceDocument{Resource: api.Audience}
	for _, name := range api.Issuers {
		if name == authz.Local {
			d.Servers = append(d.Servers, cfg.Server.Issuer)
		}
		for _, i := range cfg.Issuers {
			if i.Name == name {
				d.Servers = append(d.Servers, i.Issuer)
			}
		}
	}
	for _, r := range api.Routes {
		d.Scopes = append(d.Scopes, slices.Concat(r.All, slices.Concat(r.Any...))...)
	}
	slices.Sort(d.Scopes)
	d.Scopes = slices.Compact(d.Scopes)
	return d
}
