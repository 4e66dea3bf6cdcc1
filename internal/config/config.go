// Package config turns the two YAML files, config.yaml and clients.yaml, into plain checked data.
//
// The loader walks yaml.v3 nodes, so that every error carries file, line, column, the source line and, where one is
// near, a suggestion. It reports all errors at once. What it returns needs no further checking: names resolve, scopes
// are declared, routes do not overlap, files exist. Packages that serve requests never import this one; internal/app
// turns a Config into their own types.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"gatehouse/internal/secret"
)

// Config is everything that the two files say, with defaults filled in. It is not changed after Load returns it,
// so it may be shared between goroutines.
type Config struct {
	// File is the path given to Load.
	File string
	// Hash is the hex SHA-256 over the content of every file that was read.
	Hash string
	// Watched are the files and directories whose change of content asks for a reload.
	Watched []string
	// Warnings are what loads but deserves a look, such as a client without a credential.
	Warnings []Problem

	Server     Server
	Admin      Admin
	State      State
	Tokens     Tokens
	Revocation Revocation
	// Issuers are those besides our own, sorted by name.
	Issuers []Issuer
	// APIs are sorted by name.
	APIs []API
	// Clients are sorted by id.
	Clients []Client
	Audit   Audit
	Log     Log

	places  map[string]node // where each key that needs a restart stands
	sources *sources
}

// Forget lets go of the text that c was read from, which takes more memory than what it says. From then on c is as good as
// before to serve by, but can't be asked where something stands in its files, nor be printed. Call it before c is shared.
func (c *Config) Forget() { c.places, c.sources = nil, nil }

// Pos is a place in a file. Line and Col count from 1; Col counts characters.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"` // 0: the file as a whole
	Col  int    `json:"col"`
}

// Server is the public listener.
type Server struct {
	Listen         string
	ListenPos      Pos
	PublicURL      *url.URL
	Issuer         string // public_url exactly as written
	TrustedProxies []netip.Prefix
	IdleTimeout    time.Duration
	MaxHeaderBytes int64
	Drain          time.Duration
	DrainDelay     time.Duration // the listener stays open for so long once readiness fails; 0: it closes at once
	TLS            *ServerTLS    // nil: plain HTTP
	H2C            bool          // HTTP/2 without TLS, by prior knowledge
}

// ServerTLS is server.tls: a certificate with its key, read and found to belong together.
type ServerTLS struct {
	Pos         Pos
	Certificate tls.Certificate `json:"-"` // Leaf is set
	// ClientCAs are who signs the certificates that clients are asked for. Nil: none is asked for.
	ClientCAs *x509.CertPool `json:"-"`
	// Sum is over the content of the files: TLS begins anew where it differs.
	Sum string
}

// Format implements fmt.Formatter: however it is printed, the key is not.
func (t *ServerTLS) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "tls %.12s", t.Sum) }

// Admin is the second listener: health, metrics, reload.
type Admin struct {
	Listen    string // host:port or unix:/path
	ListenPos Pos
	Token     secret.Text // zero: no token asked
	Hosts     []string
	Pprof     bool
}

// State says where revocations, keys and limits are kept.
type State struct {
	Dir   string
	Redis *Redis // nil: embedded
}

// Redis is state.redis.
type Redis struct {
	Mode       string   // standalone, sentinel or cluster
	Addrs      []string // of the server, of Sentinels, or of nodes of the cluster
	MasterName string   // what the Sentinels call the master; empty without
	Username   string
	Password   secret.Text
	// SentinelUsername and SentinelPassword are for the Sentinels, which have users of their own.
	SentinelUsername string
	SentinelPassword secret.Text
	TLS              bool   // to Sentinels too
	CAFile           string // empty: the system's roots
	// CertFile and KeyFile hold the certificate that servers and Sentinels are shown; empty: none. They were found good, and are to be
	// read again for each connection: their content may change without a restart.
	CertFile, KeyFile string
	// ServerName is what the certificates of all servers and Sentinels must be for; empty: the host that is dialled.
	ServerName string
	Prefix     string
	Budget     time.Duration
	Pos        Pos
}

// The modes of Redis.
const (
	Standalone = "standalone"
	Sentinel   = "sentinel"
	Cluster    = "cluster"
)

// Tokens is how tokens are signed and how long they live.
type Tokens struct {
	TTL       time.Duration
	Algorithm string
	KeyDir    string // empty: generated keys, kept in State.Dir
	KeyDirPos Pos
	Signing   map[string]string // algorithm → file name in KeyDir

	RingKeyFile string      // "" without state.redis, and with KeyDir
	RingKey     secret.Text // the 32 bytes that it holds
	// Every is how long a generated key signs, PublishBefore how long it is published before.
	Every, PublishBefore time.Duration
	Lockout              Lockout
}

// Lockout is how many failures to authenticate, by one client id at one address within Per, lock out for as long.
type Lockout struct {
	Failures int64
	Per      time.Duration
}

// Revocation decides what a node does that has not heard from the fleet for too long.
type Revocation struct {
	MaxStaleness time.Duration
	AllowStale   bool
}

// Issuer is an authorization server whose tokens APIs may accept.
type Issuer struct {
	Name         string
	Pos          Pos
	Issuer       string // iss, exactly as written
	JWKSURI      string // empty: the issuer's metadata names it
	Algorithms   []string
	Types        []string // of typ; "none" is a token without one
	ScopeClaims  []string
	ClientClaims []string
	MaxLifetime  time.Duration
	MaxStale     time.Duration
	Insecure     bool // http is allowed
}

// API is an audience with its scopes, routes and upstream.
type API struct {
	Name              string
	Pos               Pos
	Audience          string
	Upstreams         []Upstream        // one or more
	Balance           string            // round_robin | least_requests
	UpstreamTLS       *UpstreamTLS      // nil: the system's roots, no client certificate
	UpstreamProtocol  string            // http1 | http2 | h2c
	Health            *Health           // nil: no active checks
	Breaker           *Breaker          // nil: none
	Retry             *Retry            // nil: every request is sent once
	Scopes            map[string]string // scope → description
	Algorithm         string
	TTL               time.Duration
	Dialect           string // rfc9068 | auth0
	NarrowScopes      bool
	Issuers           []string
	Observe           bool
	Revocation        Revocation
	Hosts             []string // lower case, without port
	StripPrefix       string
	OpenAPI           string // the document that describes the API, which `check` compares the routes with; "": none
	OpenAPIPos        Pos
	RateLimits        []RateLimit
	Timeout           time.Duration
	MaxBody           int64
	KeepAuthorization bool // the API's forward.authorization; with Observe the default is true
	KeepHost          bool
	CORS              *CORS   // nil: none
	Claims            []Claim // of its tokens, in the order of the file
	Hook              *Hook   // nil: none
	Routes            []Route // in the order of the file
}

// Claim is one that tokens have besides the gateway's own.
type Claim struct {
	Name string
	// Value is the text, cut where the client's id stands: one part or more.
	Value []string
}

// Hook is who is asked before a token of an API is issued.
type Hook struct {
	URL     *url.URL
	Secret  secret.Text
	Timeout time.Duration
}

// Upstream is one of the servers behind an API.
type Upstream struct {
	URL    *url.URL
	Weight int
}

// UpstreamTLS is upstream_tls with the content of its files, in PEM.
type UpstreamTLS struct {
	CA          []byte // nil: the system's roots
	Certificate []byte // nil: none is shown
	Key         secret.Text
	ServerName  string // "": the host of the URL
}

// Health is the active check of each upstream.
type Health struct {
	Path                         string
	Interval, Timeout            time.Duration
	HealthyAfter, UnhealthyAfter int // checks in a row that change the verdict
}

// Breaker is how many failures in a row stop requests to an upstream, and for how long.
type Breaker struct {
	Failures int
	OpenFor  time.Duration
}

// Retry is how often a request is sent in all, and after which failures: connect, reset, 502, 503, 504.
type Retry struct {
	Attempts int
	On       []string
}

// CORS says what pages of other origins may do with an API.
type CORS struct {
	Origins                  []string // "*" is every origin
	Methods, Headers, Expose []string
	Credentials              bool
	MaxAge                   time.Duration
}

// RateLimit is one limit of an API, a route or a client.
type RateLimit struct {
	// Name is the policy's name in headers, metrics and Redis keys: "<api>", "<api> <match>", "client", with #2, #3 for later ones.
	Name     string
	Requests int64
	Per      time.Duration
	Burst    int64
	By       string // client | ip | route | claim:<name>
	OnError  string // local | open | closed
}

// Route is a method and a pattern with what they require.
type Route struct {
	Pos     Pos
	Match   string // as written
	Method  string // empty: what the path's other routes do not name
	Pattern string
	// Auth is "scopes", "token" or "public".
	Auth string
	// All and Any are the required scopes: all of All, and, where Any is not empty, every scope of at least one of its members.
	All       []string
	Any       [][]string
	Observe   bool
	Timeout   time.Duration
	MaxBody   int64
	Cost      int64
	Streaming bool
	WebSocket bool // upgrade: [websocket]
	// CloseOnExpiry ends a WebSocket when its token expires.
	CloseOnExpiry bool
	AllowPath     []string    // slash | percent | semicolon | double_slash
	RateLimits    []RateLimit // the route's own, besides the API's
	// KeepAuthorization says what the upstream gets once the API's, the mode's and public routes' defaults are applied.
	KeepAuthorization bool
}

// Client is one entry of clients.yaml.
type Client struct {
	ID         string
	Pos        Pos
	Grants     map[string][]string // API name → scopes
	GrantTypes []string
	// Auth is client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or self_signed_tls_client_auth; "" for the first two.
	Auth       string
	Secrets    []ClientSecret
	Keys       ClientKeys
	TLSSubject TLSSubject    // with tls_client_auth
	TTL        time.Duration // 0: the API's
	Quotas     []Quota
	RateLimits []RateLimit // its own, named client; nil: its APIs' count it
	Introspect []string    // names of the APIs whose tokens it may introspect
	Disabled   bool
}

// Quota bounds how many tokens a client is issued.
type Quota struct {
	// Name is the quota's name in headers, metrics and Redis keys: "quota", with #2, #3 for later ones.
	Name    string
	Tokens  int64
	Per     time.Duration
	Observe bool // count and warn, and issue all the same
}

// ClientKeys are the public keys of a client that signs assertions, or shows a certificate of its own. The zero value is none.
type ClientKeys struct {
	Pos        Pos      // of jwks_file or jwks_uri
	JWKS       []byte   // what jwks_file holds
	URI        string   // where the keys are fetched; empty: they are in JWKS
	Algorithms []string // that assertions may be signed with
}

// ClientSecret is the hash of one secret and when it is good.
type ClientSecret struct {
	SHA256              [32]byte
	Argon2id            *secret.Argon2id // in place of SHA256; else nil
	NotBefore, NotAfter time.Time        // zero: no bound
	Created, Note       string           // for people
}

// Audit is the trail of decisions about tokens and of administrative acts.
type Audit struct {
	Enabled bool
	File    string // empty: audit.log in State.Dir
	MaxSize int64  // of one file, in bytes
	Keep    int    // how many full files stay
}

// AuditFile is where the trail is written to, whether or not it is enabled.
func (c *Config) AuditFile() string {
	if c.Audit.File != "" {
		return c.Audit.File
	}
	return filepath.Join(c.State.Dir, "audit.log")
}

// Log is how the process logs.
type Log struct {
	Level  string // debug | info | warn | error
	Format string // json | text
}
