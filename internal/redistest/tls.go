package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TLSArgs returns arguments with which servers speak TLS alone, among one another too, and the file of the authority that
// their certificate is of. The certificate is for 127.0.0.1 and localhost. Clients need none; they do where "--tls-auth-clients",
// "yes" follows, and Pair is one that will do.
func TLSArgs(t testing.TB) (args []string, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redistest"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
		IsCA:                  true, // its own authority
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile := writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert)
	keyFile := writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", private)
	return []string{"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile,
		"--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"}, certFile
}

// Pair is the certificate in arguments of TLSArgs, and its key.
func Pair(t testing.TB, args []string) tls.Certificate {
	t.Helper()
	certFile, keyFile := PairFiles(args)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// PairFiles are the files of Pair.
func PairFiles(args []string) (certFile, keyFile string) {
	return args[slices.Index(args, "--tls-cert-file")+1], args[slices.Index(args, "--tls-key-file")+1]
}

func writePEM(t testing.TB, file, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
