package proxy

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	// defaultIdle is the wait between bytes of a body, or between requests on a connection, where nothing else is said.
	defaultIdle = time.Minute
	// headerTimeout is how long a client may take to send the headers of a request.
	headerTimeout    = 5 * time.Second
	defaultMaxHeader = 64 << 10
)

// What one HTTP/2 connection may take. Go's server bounds the rest by these: streams that are opened and reset count until
// their handlers have ended, four times as many may queue, and beyond that the connection is closed.
const (
	maxStreams   = 100
	maxFrame     = 16 << 10  // bytes
	connWindow   = 1 << 20   // bytes of bodies that wait to be read, over all streams
	streamWindow = 256 << 10 // and of one stream
	// pingAfter is how long a connection may be silent before it is asked whether it is still there, pingTimeout how long it
	// may take to answer.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// ServerOptions are what the public listener can be told.
type ServerOptions struct {
	// IdleTimeout is how long a connection without a request is kept. Zero means a minute.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the request line and the headers. Zero means 64 KiB.
	MaxHeaderBytes int
	// H2C takes HTTP/2 without TLS from clients that begin with it. There is no Upgrade to it.
	H2C bool
	Log *slog.Logger // nil: nothing is logged
}

// Server returns the http.Server that a Gateway is made for. On connections of a listener made by TLS it speaks HTTP/2 too. It has no ReadTimeout, since a body may take as long as its
// bytes keep coming: the gateway moves the deadlines of bodies itself. WriteTimeout is where those of responses start.
func Server(h http.Handler, o ServerOptions) *http.Server {
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdle
	}
	if o.MaxHeaderBytes <= 0 {
		o.MaxHeaderBytes = defaultMaxHeader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(o.H2C)
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		WriteTimeout:                 o.IdleTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxHeaderBytes:               o.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // or net/http answers OPTIONS * itself, past the gate
		Protocols:                    protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, MaxReceiveBufferPerConnection: connWindow,
			MaxReceiveBufferPerStream: streamWindow, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: o.IdleTimeout,
		},
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
}

// setDefaults fills in what may be left out.
func (o *Options) setDefaults() {
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdle
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
}
