package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// errNoHTTP stands for all that net/http says of an answer which it can't read, since it quotes some of that.
var errNoHTTP = errors.New("what came back is no HTTP answer that can be read, or is larger than one may be")

// plain is an error that holds nothing of the answer: one of the network or of TLS, or of the time that it took.
func plain(err error) error {
	var network net.Error // *net.OpError and *net.DNSError among them
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &network), errors.As(err, &certificate), errors.As(err, &alert), errors.As(err, &record),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return err
	}
	return errNoHTTP
}
