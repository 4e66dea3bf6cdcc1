package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/jwks"
	"gatehouse/internal/redisx"
)

// ProbeLimit is how long one look at another server may take.
const ProbeLimit = 5 * time.Second

// Probed is one thing that a configuration names and that was looked at.
type Probed struct {
	Pos  config.Pos // of the key that names it
	Key  string     // that key: "apis.orders.upstream"
	What string     // "http://127.0.0.1:9001"
	Err  error      // what is wrong with it, and what to do; nil: it is well
	Took time.Duration
}

// Probe looks at what a configuration names outside of its files: Redis, upstreams, where keys are fetched; and at what time
// and the rights of files do to certificates and keys. Each look ends within ProbeLimit; all go on at once. The results are in
// the order of the configuration.
func Probe(ctx context.Context, cfg *config.Config) []Probed {
	p := &prober{ctx: ctx, cfg: cfg}
	p.redis()
	p.certificates()
	p.files()
	p.issuers()
	for i := range cfg.APIs {
		p.upstreams(&cfg.APIs[i])
		p.hook(&cfg.APIs[i])
	}
	p.clients()
	p.all.Wait()
	return p.list()
}

type prober struct {
	ctx  context.Context
	cfg  *config.Config
	all  sync.WaitGroup
	done []*Probed
}

// look starts one look.
func (p *prober) look(path []string, what string, at func(ctx context.Context) error) {
	out := &Probed{Key: strings.Join(path, "."), What: what}
	out.Pos, _ = p.cfg.Place(path...)
	if out.Pos.File == "" {
		out.Pos.File = p.cfg.File
	}
	p.done = append(p.done, out)
	p.all.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, ProbeLimit)
		defer cancel()
		start := time.Now()
		out.Err = at(ctx)
		out.Took = time.Since(start)
	})
}

func (p *prober) list() []Probed {
	list := make([]Probed, 0, len(p.done))
	for _, d := range p.done {
		list = append(list, *d)
	}
	return list
}

// redis sees that Redis takes our user and our writes: one that only reads is a replica, or its ACL is too tight.
func (p *prober) redis() {
	r := p.cfg.State.Redis
	if r == nil {
		return
	}
	p.look([]string{"state", "redis"}, strings.Join(r.Addrs, ", "), func(ctx context.Context) error {
		client, err := openRedis(r, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer client.Close()
		key, patience := r.Prefix+":check:"+rand.Text(), redisPatience
		if r.Mode != config.Standalone {
			patience = ProbeLimit - time.Second // its masters are found first
		}
		for start := time.Now(); ; time.Sleep(redisPause) {
			if err = writeTo(ctx, client, key); err == nil || saidBy(err) != "" || time.Since(start) > patience {
				break
			}
		}
		if fix := saidBy(err); fix != "" {
			return fmt.Errorf("%s (%w)", fix, err)
		}
		return overTLS(r.TLS, plainDial(err))
	})
}

// overTLS adds to an error of a connection to Redis what the configuration's tls may have to do with it.
func overTLS(wanted bool, err error) error {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &host):
		return fmt.Errorf("%w — set tls.server_name to a name in its certificate", err)
	case errors.As(err, &authority):
		return fmt.Errorf("%w — set tls.ca_file to who signed its certificate", err)
	case !wanted && errors.Is(err, io.EOF):
		return fmt.Errorf("it ended the connection without a word (%w): if it speaks TLS, set tls", err)
	case wanted && strings.HasPrefix(err.Error(), "no answer"):
		return fmt.Errorf("%w: does it speak TLS?", err)
	}
	return err
}

// redisPatience is how long a standalone Redis is asked until it says something: connections to one that only reads are cut
// under us.
const (
	redisPatience = 250 * time.Millisecond
	redisPause    = 20 * time.Millisecond
)

func writeTo(ctx context.Context, client *redisx.Client, key string) error {
	if err := client.Cmd(key).Set(ctx, key, "1", time.Second).Err(); err != nil {
		return err
	}
	_, err := client.Warnings(ctx)
	return err
}

// saidBy is what Redis's own words mean here; "" for any other error, and for none.
func saidBy(err error) string {
	for word, fix := range map[string]string{
		"WRONGPASS":   "it does not know this user with this password: see username and password_file",
		"NOAUTH":      "it asks for a password: set password_file",
		"NOPERM":      "its ACL keeps this user from what is needed: see the commands and the key pattern of the user",
		"READONLY":    "it is a replica: name the primary",
		"LOADING":     "it is still reading its data: try again",
		"MISCONF":     "it can't write its data to its disk",
		"CLUSTERDOWN": "its cluster does not serve",
		// An alert of TLS 1.3, which Redis speaks where its library does.
		"certificate required": "it asks for a certificate: set cert_file and key_file in tls, or tls-auth-clients no in Redis",
	} {
		if err != nil && strings.Contains(err.Error(), word) {
			return fix
		}
	}
	return ""
}

func (p *prober) upstreams(api *config.API) {
	for i, u := range api.Upstreams {
		path := []string{"apis", api.Name, "upstreams", fmt.Sprint(i), "url"}
		if _, several := p.cfg.Place(path...); !several {
			path = []string{"apis", api.Name, "upstream"}
		}
		p.look(path, u.URL.String(), func(ctx context.Context) error { return connect(ctx, u.URL, api.UpstreamTLS, "see upstream_tls") })
	}
}

// hook connects and asks nothing: a question is about a client and a token.
func (p *prober) hook(api *config.API) {
	if api.Hook == nil {
		return
	}
	at := withoutQuery(api.Hook.URL)
	p.look([]string{"apis", api.Name, "hook", "url"}, at.String(), func(ctx context.Context) error {
		return connect(ctx, at, nil, "its certificate must be signed by one of the system's authorities")
	})
}

// withoutQuery is a URL for people to see: its query may be a secret.
func withoutQuery(u *url.URL) *url.URL {
	out := *u
	out.RawQuery = ""
	return &out
}

// connect resolves the name, connects, and, for https, verifies the certificate as the gateway would. The last argument says
// what to do where that fails.
func connect(ctx context.Context, u *url.URL, files *config.UpstreamTLS, fix string) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return plainDial(err)
	}
	defer conn.Close()
	if u.Scheme != "https" {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	own, err := upstreamTLS(files)
	if err != nil {
		return err
	}
	if own != nil {
		c.RootCAs = own.Roots
		if own.ServerName != "" {
			c.ServerName = own.ServerName
		}
		if own.Certificate != nil {
			c.Certificates = []tls.Certificate{*own.Certificate}
		}
	}
	if err := tls.Client(conn, c).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %s — %s", strings.TrimPrefix(plainDial(err).Error(), "tls: "), fix)
	}
	return nil
}

// plainDial says in few words why there was no connection.
func plainDial(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s is not resolved: %s", dns.Name, dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", ProbeLimit)
	case errors.As(err, &op) && op.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &op):
		return fmt.Errorf("no connection: %w", op.Err)
	}
	return err
}

func (p *prober) issuers() {
	for _, i := range p.cfg.Issuers {
		key := "issuer"
		if i.JWKSURI != "" {
			key = "jwks_uri"
		}
		from := jwks.Source{URL: i.JWKSURI, Issuer: i.Issuer, Insecure: i.Insecure}
		p.look([]string{"issuers", i.Name, key}, from.Name(), func(ctx context.Context) error { return fetch(ctx, from) })
	}
}

func (p *prober) clients() {
	for _, c := range p.cfg.Clients {
		if c.Keys.URI != "" && !c.Disabled {
			p.look([]string{"clients", c.ID, "jwks_uri"}, "the keys of "+c.ID, func(ctx context.Context) error { return fetch(ctx, jwks.Source{URL: c.Keys.URI}) })
		}
	}
}

func fetch(ctx context.Context, from jwks.Source) error {
	_, err := jwks.Probe(ctx, from)
	return err
}
