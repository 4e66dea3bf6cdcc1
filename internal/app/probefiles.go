package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"gatehouse/internal/config"
)

// certificates looks at the dates of the certificates that we show.
func (p *prober) certificates() {
	if t := p.cfg.Server.TLS; t != nil {
		p.look([]string{"server", "tls", "cert_file"}, "the listener's certificate", func(context.Context) error { return valid(t.Certificate.Leaf, time.Now()) })
	}
	if r := p.cfg.State.Redis; r != nil && r.CertFile != "" {
		p.look([]string{"state", "redis", "tls", "cert_file"}, "the certificate for Redis", func(context.Context) error {
			pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
			if err != nil {
				return err
			}
			return valid(pair.Leaf, time.Now())
		})
	}
	for _, api := range p.cfg.APIs {
		if api.UpstreamTLS == nil || api.UpstreamTLS.Certificate == nil {
			continue
		}
		p.look([]string{"apis", api.Name, "upstream_tls", "cert_file"}, "the certificate for upstreams", func(context.Context) error {
			pair, err := tls.X509KeyPair(api.UpstreamTLS.Certificate, []byte(api.UpstreamTLS.Key.Reveal()))
			if err != nil {
				return err
			}
			return valid(pair.Leaf, time.Now())
		})
	}
}

func valid(leaf *x509.Certificate, now time.Time) error {
	switch {
	case leaf == nil:
		return errors.New("the certificate can't be read")
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it expired on %s — renew it", leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is not valid before %s — check the clock", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// files looks at who may change or read what keys are kept in.
func (p *prober) files() {
	p.look([]string{"state", "dir"}, p.cfg.State.Dir, func(context.Context) error { return stateDir(p.cfg) })
	if dir := p.cfg.Tokens.KeyDir; dir != "" {
		p.look([]string{"tokens", "key_dir"}, dir, func(context.Context) error { return keyDir(dir) })
	}
}

// stateDir sees that the directory can be used, or made, by who runs this.
func stateDir(cfg *config.Config) error {
	dir := cfg.State.Dir
	info, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir { // it is made at start
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	}
	f, err := os.CreateTemp(dir, ".gatehouse-check-*")
	if err != nil {
		return fmt.Errorf("%s can't be written by this user", dir)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// keyDir sees that nobody else may put keys of theirs into the directory, or read those that sign.
func keyDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("it has mode %04o, so that others can put keys there — chmod 700 %s", info.Mode().Perm(), dir)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && e.Name()[0] != '.' && info.Mode().Perm()&0o007 != 0 && private(path) {
			return fmt.Errorf("%s has mode %04o, so that others can read it — chmod 600 %s", path, info.Mode().Perm(), path)
		}
	}
	return nil
}

// private reports whether a file holds a private key, as PEM or as JWK.
func private(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && privateKey.Match(text)
}

var privateKey = regexp.MustCompile(`PRIVATE KEY-----|"d"\s*:`)
