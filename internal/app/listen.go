package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/proxy"
)

// Addr is the address of the public listener, AdminAddr that of the admin listener.
func (a *App) Addr() net.Addr      { return a.public.Addr() }
func (a *App) AdminAddr() net.Addr { return a.admin.Addr() }

func (a *App) listen(cfg *config.Config) (err error) {
	if a.public = a.opts.Public; a.public == nil {
		if a.public, err = listen(cfg.Server.Listen, "server.listen", cfg.Server.ListenPos); err != nil {
			return err
		}
	}
	a.door = &lastCall{Listener: a.public}
	if a.admin = a.opts.Admin; a.admin == nil {
		if a.admin, err = listen(cfg.Admin.Listen, "admin.listen", cfg.Admin.ListenPos); err != nil {
			return err
		}
	}
	a.auth.serveAt(a.public.Addr(), a.admin.Addr())
	a.publicServer = proxy.Server(a, proxy.ServerOptions{IdleTimeout: cfg.Server.IdleTimeout, MaxHeaderBytes: int(cfg.Server.MaxHeaderBytes),
		H2C: cfg.Server.H2C, Log: a.log})
	a.publicServer.ConnState = a.conns.note
	a.adminHTTP = a.adminServer(cfg)
	return nil
}

// secured is the public listener, with TLS where the configuration has it: each connection by the certificate in force when it
// is accepted.
func (a *App) secured() net.Listener {
	if a.current.Load().tls == nil {
		return a.door
	}
	return proxy.TLS(a.door, func() *tls.Config { return a.current.Load().tls })
}

// tlsConfig is that of the snapshot before where certificate and authorities are the same, so that sessions are resumed;
// a new one ends them.
func tlsConfig(cfg *config.Config, prev *snapshot) *tls.Config {
	t := cfg.Server.TLS
	switch {
	case t == nil:
		return nil
	case prev != nil && prev.cfg.Server.TLS != nil && prev.cfg.Server.TLS.Sum == t.Sum && ownCertificates(prev.cfg) == ownCertificates(cfg):
		return prev.tls
	}
	return proxy.TLSConfig(t.Certificate, t.ClientCAs, ownCertificates(cfg))
}

// ownCertificates reports whether a client may show a certificate that no authority signed.
func ownCertificates(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Clients, func(c config.Client) bool { return c.Auth == "self_signed_tls_client_auth" })
}

// listen opens host:port or unix:/path, and says which key to change where it can't.
func listen(address, key string, pos config.Pos) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			if c, err := net.Dial("unix", path); err == nil {
				c.Close()
				return nil, fmt.Errorf("listen %s: another process answers there (%s, %s:%d:%d)", address, key, pos.File, pos.Line, pos.Col)
			}
			os.Remove(path) // left behind by a process that was killed
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		var call *os.SyscallError
		if errors.As(err, &call) {
			err = call.Err
		}
		return nil, fmt.Errorf("listen %s: %w (%s, %s:%d:%d)", address, err, key, pos.File, pos.Line, pos.Col)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}
