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

// ServerOptions are what the public listener can be told.
type ServerOptions struct {
	// IdleTimeout is how long a connection without a request is kept. Zero means a minute.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the request line and the headers. Zero means 64 KiB.
	MaxHeaderBytes int
	Log            *slog.Logger // nil: nothing is logged
}

// Server returns the http.Server that a Gateway is made for. It has no ReadTimeout, since a body may take as long as its
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
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		WriteTimeout:                 o.IdleTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxHeaderBytes:               o.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // or net/http answers OPTIONS * itself, past the gate
		Protocols:                    protocols,
		ErrorLog:                     slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
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
	if o.Now == nil {
		o.Now = time.Now
	}
}
