package doctorcmd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"
	"time"
)

// front is a reverse proxy before the deployment, which may do wrong: it ends TLS with a certificate that ends at a
// time, and may answer a path by itself.
func (d *deployment) front(t *testing.T, ends time.Time, own map[string]http.HandlerFunc) (address, ca string) {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.address()})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := own[r.URL.Path]; f != nil {
			f(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the point
	t.Cleanup(server.Close)
	if ends.IsZero() {
		server.Start()
		return server.URL, ""
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signed, err := x509.CreateCertificate(rand.Reader, certificate, certificate, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	return server.URL, d.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})), 0o600)
}

// before puts a front before the deployment.
func (d *deployment) before(t *testing.T, name, code string, ends time.Time, own map[string]http.HandlerFunc) illness {
	old := os.Getenv("TREELINE_ROOT_URL")
	return illness{name: name, codes: []string{code}, plant: func() {
		address, ca := d.front(t, ends, own)
		d.set("TREELINE_ROOT_URL", address)
		if ca != "" {
			d.args = []string{"--ca", ca, "--trusted-proxies", "127.0.0.1"}
		}
	}, cure: func() { d.set("TREELINE_ROOT_URL", old); d.args = nil }}
}

// fronts are what can be wrong between clients and the deployment.
func (d *deployment) fronts(t *testing.T) []illness {
	answer := func(status int, date, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if date != "" {
				w.Header().Set("Date", date)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // whoever asked may be gone
		}
	}
	expired := d.before(t, "the certificate has ended", "tls-expired", time.Now().Add(-time.Hour), nil)
	expired.blind = []string{"health", "deployment"}
	trusted := d.before(t, "no proxy is trusted", "proxies-none", time.Now().AddDate(1, 0, 0), nil)
	plant := trusted.plant
	trusted.plant = func() { plant(); d.args = d.args[:2] }
	return []illness{
		expired, trusted,
		d.before(t, "the certificate ends in a week", "tls-ends-soon", time.Now().AddDate(0, 0, 7), nil),
		d.before(t, "the server is ill", "root-unhealthy", time.Time{}, map[string]http.HandlerFunc{"/__heartbeat__": answer(http.StatusServiceUnavailable, "", "no database")}),
		d.before(t, "the server's clock is an hour ahead", "clock-root", time.Time{},
			map[string]http.HandlerFunc{"/__lbheartbeat__": answer(http.StatusOK, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "{}")}),
		d.before(t, "another version runs", "root-version", time.Time{}, map[string]http.HandlerFunc{"/__version__": answer(http.StatusOK, "", `{"version": "v0.0.1", "source": "x"}`)}),
		d.before(t, "what answers is something else", "root-stranger", time.Time{}, map[string]http.HandlerFunc{"/__version__": answer(http.StatusNotFound, "", "")}),
	}
}
