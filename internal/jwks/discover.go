package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// discover returns the jwks_uri of an issuer's metadata: the document of OpenID Connect Discovery §4, else that of RFC 8414
// §3. A document whose issuer is another, compared byte for byte, counts for nothing (RFC 8414 §3.3).
func (f *fetcher) discover(ctx context.Context, from Source) (string, error) {
	var errs []error
	for _, at := range metadataURLs(from.Issuer) {
		body, err := f.get(ctx, at, from)
		if err == nil {
			var uri string
			if uri, err = jwksURI(body, from.Issuer); err == nil {
				return uri, nil
			}
		}
		errs = append(errs, fmt.Errorf("metadata at %s: %w", at, err))
	}
	return "", errors.Join(errs...)
}

// metadataURLs are where an issuer has its metadata.
func metadataURLs(issuer string) []string {
	base := strings.TrimSuffix(issuer, "/")
	urls := []string{base + "/.well-known/openid-configuration"}
	u, err := url.Parse(base)
	if err != nil {
		return urls
	}
	path := u.EscapedPath()
	return append(urls, strings.TrimSuffix(base, path)+"/.well-known/oauth-authorization-server"+path)
}

// jwksURI reads the metadata of the issuer. Names of members are exact.
func jwksURI(body []byte, issuer string) (string, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", errors.New("it is not a JSON object")
	}
	var name, uri string
	if json.Unmarshal(doc["issuer"], &name) != nil || name != issuer {
		return "", errors.New("its issuer is not the one that is configured")
	}
	if json.Unmarshal(doc["jwks_uri"], &uri) != nil {
		return "", errors.New("it has no jwks_uri")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return "", errors.New("its jwks_uri is not an absolute https URL")
	}
	return u.String(), nil
}
