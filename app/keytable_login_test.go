package app_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/login"
)

// TestTheSecretOfAGitHubSignInIsChanged: the OAuth app gets another secret at GitHub, then the file of TREELINE_LOGIN has
// it, then GitHub's page forgets the old one.
func TestTheSecretOfAGitHubSignInIsChanged(t *testing.T) {
	dir := t.TempDir()
	secrets, err := app.LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	first, shared := listen(t), pgtest.URL(t)
	root := "http://" + first.Addr().String()
	gh := idptest.NewGitHub(t, root+"/login/github/callback", idptest.Account{ID: 1815, Login: "ada"})
	const ada = "github/1815|ada"
	file := filepath.Join(dir, "login.yml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, fmt.Sprintf("providers: [{name: github, type: github, url: %q, clientId: %q, clientSecretFile: %q}]\n", gh.URL, gh.ClientID, file+".secret"))
	// told is a deployment whose file has a secret.
	told := func(secret string) house {
		write(file+".secret", secret+"\n")
		c, err := login.LoadConfig(file, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		return house{app.Config{RootURL: root, DatabaseURL: shared, DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Login: c, Log: slog.New(slog.DiscardHandler)}}
	}
	// enter signs a new person's browser in through a server.
	enter := func(server string) (*browser, bool) {
		t.Helper()
		b := newBrowser(t)
		ask, _ := b.send(http.MethodGet, server+"/login/github?next=/profile", nil)
		back, _ := b.send(http.MethodPost, ask.String(), url.Values{"authorize": {"1"}})
		at, _ := b.send(http.MethodGet, server+back.RequestURI(), nil)
		return b, at.Path == "/profile"
	}
	enters := func(what, server string, want bool) *browser {
		t.Helper()
		b, in := enter(server)
		if in != want {
			t.Errorf("%s: signed in is %v, want %v", what, in, want)
		}
		return b
	}
	knows := func(what string, b *browser) {
		t.Helper()
		if _, body := b.send(http.MethodGet, root+"/profile", nil); !strings.Contains(body, ada) {
			t.Errorf("%s: who signed in before is signed out", what)
		}
	}

	before := told(gh.ClientSecret)
	_, stop := before.start(t, first)
	early := enters("with the first secret", root, true)
	fresh := gh.AddSecret()
	enters("while GitHub has both, with the old one", root, true)
	stop()
	again, err := net.Listen("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	after := told(fresh)
	after.start(t, again)
	late, _ := before.start(t, listen(t)) // a server that is not started again yet
	enters("while GitHub has both, with the new one", root, true)
	enters("while GitHub has both, on a server with the old one", late, true)
	knows("after the restart", early)
	gh.DeleteOldSecrets()
	enters("with the new secret alone", root, true)
	enters("with the secret that GitHub forgot", late, false)
	knows("after the old secret's end", early)
}
