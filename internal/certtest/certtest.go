// Package certtest makes certificates for servers and clients on this machine, in tests.
package certtest

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
	"testing"
	"time"
)

// Set is a certificate for 127.0.0.1, as a server and as a client, with its key and the authority that signed it, all in
// PEM.
type Set struct {
	Authority, Certificate, Key []byte
}

// New makes a set that is good for a day.
func New(t testing.TB) Set {
	t.Helper()
	set, err := make127()
	if err != nil {
		t.Fatalf("certtest: %v", err)
	}
	return set
}

// TLS returns the certificate as servers and clients of Go take it.
func (s Set) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(s.Certificate, s.Key)
	if err != nil {
		t.Fatalf("certtest: %v", err)
	}
	return c
}

func make127() (s Set, err error) {
	authority := template("certtest authority")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	own := template("certtest")
	own.IPAddresses, own.KeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, x509.KeyUsageDigitalSignature
	own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, err
	}
	if s.Authority, err = signed(authority, authority, signer, signer); err != nil {
		return s, err
	}
	if s.Certificate, err = signed(own, authority, key, signer); err != nil {
		return s, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	s.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return s, err
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func signed(c, by *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, signer)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}
