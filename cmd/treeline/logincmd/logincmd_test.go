package logincmd

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
)

// startServer runs a whole server at which everybody is the same person.
func startServer(t *testing.T) string {
	t.Helper()
	server := apptest.Start(t, func(c *app.Config) {
		c.Login = login.Config{Providers: []login.Provider{{Name: "dev", Type: "fixed", Subject: "me", Development: true}}}
	})
	for _, name := range []string{"TASKCLUSTER_ROOT_URL", "TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN", "TASKCLUSTER_CERTIFICATE", "TASKCLUSTER_PROXY_URL", "TASK_ID"} {
		t.Setenv(name, "")
	}
	t.Setenv("TREELINE_CREDENTIALS", filepath.Join(server.Dir, "home", "credentials.json"))
	t.Setenv("BROWSER", "true") // the program: it looks at nothing
	return server.URL
}

// run runs a command; beside it, person gets each line that the command tells people.
func run(t *testing.T, person func(said string, in io.Writer), args ...string) (out string, err error) {
	t.Helper()
	root := New()[0]
	if args[0] == "signout" {
		root = New()[1]
	}
	var stdout bytes.Buffer
	told, tell := io.Pipe()
	typed, typing := io.Pipe()
	root.SetArgs(args[1:])
	root.SetOut(&stdout)
	root.SetErr(tell)
	root.SetIn(typed)
	root.SilenceErrors, root.SilenceUsage = true, true
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := told.Read(buf)
			if n > 0 && person != nil {
				person(string(buf[:n]), typing)
			}
			if err != nil {
				return
			}
		}
	})
	err = root.ExecuteContext(t.Context())
	tell.Close()
	done.Wait()
	return stdout.String(), err
}

var addressIn = regexp.MustCompile(`http://\S+/auth/clients/create\?\S+`)

// browser signs in, answers the page's question, and follows where the answer leads.
func browser(t *testing.T, address, decision string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := http.Client{Jar: jar}
	u, err := url.Parse(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	root := u.Scheme + "://" + u.Host
	send := func(method, address string, form url.Values) string {
		q, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return ""
		}
		if method == http.MethodPost {
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r, err := b.Do(q)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	page := send(http.MethodGet, root+"/login/dev?"+url.Values{"next": {u.RequestURI()}}.Encode(), nil)
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Error(err)
		return ""
	}
	form := url.Values{"decision": {decision}}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" {
			continue
		}
		at := map[string]string{}
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		form.Add(at["name"], at["value"])
	}
	return send(http.MethodPost, root+"/auth/clients/create", form)
}

func TestSignIn(t *testing.T) {
	root := startServer(t)
	allow := func(said string, _ io.Writer) {
		if address := addressIn.FindString(said); address != "" {
			if got := browser(t, address, "allow"); !strings.Contains(got, "You are signed in") {
				t.Errorf("the browser shows %s", got)
			}
		}
	}
	t.Run("for a shell: settings that it can evaluate, and other clients know", func(t *testing.T) {
		out, err := run(t, allow, "signin", root)
		if err != nil {
			t.Fatal(err)
		}
		shell := exec.CommandContext(t.Context(), "sh", "-c", `eval "$1"; echo "$TASKCLUSTER_ROOT_URL $TASKCLUSTER_CLIENT_ID ${#TASKCLUSTER_ACCESS_TOKEN}"`, "sh", out)
		got, err := shell.Output()
		if want := root + " dev/me|me/cli-"; err != nil || !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), " 44\n") {
			t.Errorf("got %s, %v; want it to begin with %s", got, err, want)
		}
		if strings.Contains(out, "code") {
			t.Errorf("got %s", out)
		}
	})
	t.Run("stored: in a file for the user alone, where the commands find it", func(t *testing.T) {
		if _, err := run(t, allow, "signin", root, "--save", "--expires", "2 hours"); err != nil {
			t.Fatal(err)
		}
		path, err := client.StorePath()
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("got %v, %v", info, err)
		}
		c, err := client.FromEnv(nil)
		if err != nil {
			t.Fatal(err)
		}
		scopes, err := c.CurrentScopes(t.Context())
		if err != nil || c.RootURL() != root || !strings.Contains(strings.Join(scopes, " "), "auth:create-client:dev/me|me/*") {
			t.Errorf("got %s, %v, %v", c.RootURL(), scopes, err)
		}
		if out, err := run(t, nil, "signin", "--check"); err != nil || !strings.Contains(out, "as dev/me|me/cli-") {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("a file that others may read is not used", func(t *testing.T) {
		path, err := client.StorePath()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := client.FromEnv(nil); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("got %v", err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("signing out deletes the client and what is stored", func(t *testing.T) {
		before, err := client.FromEnv(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, nil, "signout"); err != nil {
			t.Fatal(err)
		}
		if _, err := before.WithPatience(-1).CurrentScopes(t.Context()); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("the client is good still: %v", err)
		}
		if _, ok, err := client.Remembered(root); ok || err != nil {
			t.Errorf("it is stored still, %v", err)
		}
		if _, err := run(t, nil, "signin", "--check", root); err == nil {
			t.Error("signed in still")
		}
	})
	t.Run("without a browser here: the code of the page is typed in", func(t *testing.T) {
		person := func(said string, in io.Writer) {
			if address := addressIn.FindString(said); address != "" {
				_, rest, _ := strings.Cut(browser(t, address, "allow"), `id="code">`)
				code, _, _ := strings.Cut(rest, "<")
				if _, err := io.WriteString(in, code+"\n"); err != nil {
					t.Error(err)
				}
			}
		}
		out, err := run(t, person, "signin", root, "--no-browser", "--csh")
		if err != nil || !strings.Contains(out, "setenv TASKCLUSTER_CLIENT_ID 'dev/me|me/cli-") {
			t.Errorf("got %s, %v", out, err)
		}
	})
	t.Run("who denies gives nothing", func(t *testing.T) {
		out, err := run(t, func(said string, _ io.Writer) {
			if address := addressIn.FindString(said); address != "" {
				browser(t, address, "deny")
			}
		}, "signin", root)
		if err == nil || !strings.Contains(err.Error(), "not allowed it") || out != "" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("an answer that this program did not ask for is not taken", func(t *testing.T) {
		out, err := run(t, func(said string, _ io.Writer) {
			address := addressIn.FindString(said)
			if address == "" {
				return
			}
			u, err := url.Parse(address)
			if err != nil {
				t.Error(err)
				return
			}
			r, err := http.Get(u.Query().Get("callback_url") + "?code=evil&state=evil")
			if err != nil || r.StatusCode != http.StatusNotFound {
				t.Errorf("got %v", err)
				return
			}
			r.Body.Close()
			allow(said, nil)
		}, "signin", root)
		if err != nil || !strings.Contains(out, "dev/me|me/cli-") {
			t.Errorf("got %q, %v", out, err)
		}
	})
}

func TestSettingsAreQuoted(t *testing.T) {
	s := settings{}
	s.set("X", `a'; touch /nowhere; '`)
	if got, want := s.String(), `export X='a'\''; touch /nowhere; '\''';`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheServersAddress(t *testing.T) {
	t.Setenv("TREELINE_CREDENTIALS", filepath.Join(t.TempDir(), "none"))
	t.Setenv("TASKCLUSTER_ROOT_URL", "")
	for address, want := range map[string]string{
		"https://ci.example.com": "https://ci.example.com", "https://ci.example.com/": "https://ci.example.com", "ci.example.com": "", "https://u:p@ci.example.com": "", "file:///etc": "", "https://ci.example.com/x": "",
	} {
		got, err := rootURL([]string{address})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", address, got, err)
		}
	}
	if _, err := rootURL(nil); err == nil {
		t.Error("no server is a server")
	}
}
