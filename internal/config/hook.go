package config

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"gatehouse/internal/secret"
)

const (
	defaultHookTimeout = 2 * time.Second
	minHookSecret      = 24 // bytes, as Standard Webhooks has it
)

type rawHook struct {
	url        val[*url.URL]
	secretFile val[string]
	timeout    val[time.Duration]
}

var hookForm = object(
	is("url", parsed("URL", readHookURL).like(urlText).hidingQuery(), func(h *rawHook) *val[*url.URL] { return &h.url }).must().
		says("Where the question is posted: https, or http on loopback.").such("https://hooks.example.com/token"),
	is("secret_file", aFile, func(h *rawHook) *val[string] { return &h.secretFile }).must().
		says("What the question is signed with: the bytes of this file, without one newline at its end. Make it with: openssl rand -base64 32.").such("hook.key"),
	is("timeout", durationOf(10*time.Millisecond, 30*time.Second), func(h *rawHook) *val[time.Duration] { return &h.timeout }).
		says("How long it may take to answer. A token is not issued without an answer.").otherwise("2s"),
)

// readHookURL reads an https URL, or an http one that can only be loopback. It may have a query, which messages and config print
// leave out.
func readHookURL(s string) (*url.URL, error) {
	u, err := ownRequestURL(s, "https://hooks.example.com/token")
	switch {
	case errors.Is(err, errURLUser):
		err = fmt.Errorf("%w; the signature says who asks", err)
	case err == nil && u.Scheme == "http" && !urlEndpoint(u).loopback():
		err = errors.New("is http, and who reads along could change what tokens hold — write https; http is for loopback")
	}
	return u, err
}

// buildHook is nil where there is none.
func (r *reader) buildHook(x val[*rawHook]) *Hook {
	if x.v == nil {
		return nil
	}
	key := r.secretFile(x.v.secretFile)
	if key != "" && len(key) < minHookSecret {
		r.warn(x.v.secretFile.at, "the secret has fewer than %d bytes — make one with: openssl rand -base64 32", minHookSecret)
	}
	return &Hook{URL: x.v.url.v, Secret: secret.Hide(key), Timeout: x.v.timeout.or(defaultHookTimeout)}
}
