//go:build deploy

package deploytest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
)

// TestACertificateIsRenewedWhileTheProxyServes does what docs/operations/keys.md says: new files, then nginx reads them.
// A stream of events that is open meanwhile goes on.
func TestACertificateIsRenewedWhileTheProxyServes(t *testing.T) {
	var dir string
	live := func(name string) string { return filepath.Join(dir, name) }
	put := func(cert, key string) {
		t.Helper()
		for name, from := range map[string]string{"live.pem": cert, "live.key": key} {
			if err := os.WriteFile(live(name), []byte(text(t, from)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := proxied(t, func(t *testing.T, in string, port int, upstream, cert, key string) {
		dir = in
		put(cert, key)
		startNginx(t, in, port, upstream, live("live.pem"), live("live.key"))
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	open := openStream(ctx, t, s)

	fresh, freshKey, err := certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(text(t, fresh))) {
		t.Fatal("the new certificate is none")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	newcomer := &http.Client{Transport: transport}
	if answer, err := newcomer.Get(s.URL + "/__heartbeat__"); err == nil {
		_ = answer.Body.Close() // it is an error already
		t.Fatal("who trusts the new certificate alone gets an answer before it is there")
	}
	put(fresh, freshKey)
	pid, err := strconv.Atoi(strings.TrimSpace(text(t, filepath.Join(dir, "pid"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil { // what nginx -s reload does
		t.Fatal(err)
	}
	root, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root, HTTP: newcomer, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	id, task := slug.Nice(), definition("test/nobody", map[string]any{})
	// For a moment nginx's old processes, too, take new connections.
	await(t, "who trusts the new certificate alone makes a task", func() error {
		_, err := root.CreateTask(ctx, id, task)
		return err
	})
	open.await(id)
}
