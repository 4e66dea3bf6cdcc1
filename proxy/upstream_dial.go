package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"gatehouse/internal/lean"
)

const (
	dialTimeout = 3 * time.Second
	tlsTimeout  = 5 * time.Second
	// upstreamIdle is how long an unused connection is kept: less than servers commonly do, so that we are the one to close.
	upstreamIdle = 30 * time.Second
	// maxIdlePerHost keeps the connections of a busy gateway, instead of the two that are net/http's default.
	maxIdlePerHost    = 1024
	maxResponseHeader = 64 << 10
	// tlsSessions is how many TLS sessions are kept for each endpoint, to resume.
	tlsSessions = 64
	// upstreamPing and upstreamPong find an HTTP/2 connection whose other end is gone without a word.
	upstreamPing = 15 * time.Second
	upstreamPong = 10 * time.Second
)

// connections are those to one endpoint, and what is spoken on them.
type connections struct{ transport }

type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// shortWay has the plain case of a request over HTTP/1.1 take package lean, with the same outcome; false leaves everything
// to http.Transport.
const shortWay = true

// newTransport returns connections of which none is made yet.
func (e *endpoint) newTransport() *connections {
	t := e.newHTTPTransport()
	if shortWay && e.key.protocol == HTTP1 {
		return &connections{lean.New(t, e.url)}
	}
	return &connections{t}
}

// newHTTPTransport takes no proxy from the environment, follows nothing, and passes bodies as they are. How long an answer
// may take is the route's to say, so that there is no ResponseHeaderTimeout; how many connections there are is bounded by
// the requests that come in.
func (e *endpoint) newHTTPTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(e.key.protocol == HTTP1)
	protocols.SetHTTP2(e.key.protocol == HTTP2)
	protocols.SetUnencryptedHTTP2(e.key.protocol == H2C)
	return &http.Transport{
		DialContext:            e.dial,
		DialTLSContext:         e.dial,
		IdleConnTimeout:        upstreamIdle,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{SendPingTimeout: upstreamPing, PingTimeout: upstreamPong, WriteByteTimeout: upstreamPong,
			MaxReceiveBufferPerStream: streamWindow}, // what may come ahead of a client that reads slowly
	}
}

// dialer makes connections to one endpoint, TLS and all: what it returns an error for has had nothing sent to it.
type dialer struct {
	addr string
	net  net.Dialer
	tls  *tls.Config // nil: none
	h2   bool        // the server must have chosen HTTP/2
}

func newDialer(u *url.URL, p Protocol, t *UpstreamTLS) dialer {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	d := dialer{addr: net.JoinHostPort(u.Hostname(), port), net: net.Dialer{Timeout: dialTimeout}}
	if u.Scheme != "https" {
		return d
	}
	d.h2 = p == HTTP2
	d.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions)}
	if d.h2 {
		d.tls.NextProtos = []string{"h2"}
	}
	if t == nil {
		return d
	}
	d.tls.RootCAs = t.Roots
	if t.ServerName != "" {
		d.tls.ServerName = t.ServerName
	}
	if t.Certificate != nil {
		// Shown whatever authorities the server names: there is one, and it was configured for this server.
		d.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.Certificate, nil }
	}
	return d
}

// dial implements the DialContext and DialTLSContext of http.Transport. Its errors are connectErrors.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &connectError{err: err}
	}
	if d.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, d.tls)
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	err = secure.HandshakeContext(ctx)
	if err == nil && d.h2 && secure.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNoH2
	}
	if err != nil {
		conn.Close()
		return nil, &connectError{err: err, handshake: true}
	}
	return secure, nil
}

var errNoH2 = errors.New("the server speaks no HTTP/2: it did not choose h2 by ALPN")

// connectError is why a connection could not be made. Nothing of the request was sent.
type connectError struct {
	err       error
	handshake bool // it was TLS that failed
}

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }
