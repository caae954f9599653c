// Package apptest runs a whole server in a test, on a database of its own.
package apptest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// Server is a server that runs until its test ends.
type Server struct {
	URL  string           // as clients reach it
	Dir  string           // of the test; the server keeps contents in its directory objects
	Root hawk.Credentials // of the client that may do everything
	App  *app.App
}

// Start starts a server on a free port of this machine. It logs nothing unless a change of its
// configuration says otherwise.
func Start(t testing.TB, changes ...func(*app.Config)) Server {
	t.Helper()
	dir := t.TempDir()
	secrets, err := app.LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := app.Config{
		RootURL: "http://" + listener.Addr().String(), Listener: listener, DatabaseURL: fewConnections(pgtest.URL(t)),
		DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&config)
	}
	server, err := app.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return Server{config.RootURL, dir, hawk.Credentials{ClientID: app.RootClient, AccessToken: secrets.RootToken}, server}
}

// fewConnections allows the server no more connections than it must be given: so every test shows that they suffice.
func fewConnections(database string) string {
	sep := "?"
	if strings.Contains(database, "?") {
		sep = "&"
	}
	return fmt.Sprintf("%s%spool_max_conns=%d", database, sep, app.MinConnections)
}
