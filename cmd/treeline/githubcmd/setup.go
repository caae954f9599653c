package githubcmd

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/app/github/setup"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

// making is one use of "treeline github setup".
type making struct {
	plan      setup.Plan
	dir       string
	secret    string
	listen    string
	noBrowser bool
	wait      time.Duration

	out   io.Writer
	state string
	back  string // where GitHub leads to
	done  chan result
}

type result struct {
	app setup.App
	err error
}

func newSetup() *cobra.Command {
	m := &making{}
	cmd := &cobra.Command{
		Use: "setup ROOT_URL", Short: "Make a GitHub App for the server at an address, and keep its secrets", Args: cobra.ExactArgs(1),
		Long: `Makes the App from a manifest that holds the address of webhooks, the permissions and the events: a page
on this machine leads the browser to GitHub, where you press the button, and GitHub leads back with a code,
which is exchanged for the App's id, key and webhook secret. Nothing is typed off a page.

The secrets are written into files that only you can read, with a file of settings for "treeline serve"; or,
with --secret, into the secrets of the server that you are signed in to, which reads them from there when
TREELINE_GITHUB_SECRET names them.

The browser must reach this machine at --listen. With --no-browser open the printed address yourself; from
another machine, forward the port first: ssh -L 8765:127.0.0.1:8765 HOST.`,
		Example: `  treeline github setup https://ci.example.com --org acme
  treeline github setup https://ci.example.com --org acme --ghes https://github.example.com
  treeline github setup https://ci.example.com --no-browser --listen 127.0.0.1:8765
  treeline github setup https://ci.example.com --org acme --secret treeline/github`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m.plan.RootURL, m.out = args[0], cmd.OutOrStdout()
			return m.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&m.plan.Name, "name", "Treeline", "name of the App, unique at GitHub, 34 characters at most")
	f.StringVar(&m.plan.Org, "org", "", "organization whose App it is (default: your own account)")
	f.StringVar(&m.plan.Site, "ghes", "", "address of GitHub Enterprise Server, such as https://github.example.com (default: github.com)")
	f.StringVar(&m.dir, "dir", "treeline-github", "directory for the key, the webhook secret and the settings")
	f.StringVar(&m.secret, "secret", "", "keep them in the server's secret of this name instead of files")
	f.StringVar(&m.listen, "listen", "127.0.0.1:0", "address of the page on this machine")
	f.BoolVar(&m.noBrowser, "no-browser", false, "open no browser")
	f.DurationVar(&m.wait, "wait", 30*time.Minute, "give up when nobody pressed the button by then")
	return cmd
}

// The files that setup writes.
const (
	keyFile      = "app.pem"
	secretFile   = "webhook-secrets"
	settingsFile = "github.env"
)

func (m *making) run(ctx context.Context) error {
	if err := m.plan.Check(); err != nil {
		return err
	}
	var server *client.Client
	if m.secret != "" {
		var err error
		if server, err = signedIn(); err != nil {
			return err
		}
	} else if err := m.checkDir(); err != nil { // before there is an App whose secrets would be lost
		return err
	}
	a, err := m.ask(ctx)
	if err != nil {
		return err
	}
	if server != nil {
		err = m.keepInServer(ctx, server, a)
	} else {
		err = m.keepInFiles(a)
	}
	if err != nil {
		return fmt.Errorf("the App %s (%d) was made, and its secrets could not be kept: %w; delete it at %s and begin anew", a.Name, a.ID, err, a.HTMLURL)
	}
	fmt.Fprintf(m.out, "Then install the App where it is to work: %s/installations/new\nWhen the server runs, \"treeline github status\" says how all that stands.\n", a.HTMLURL)
	return nil
}

func (m *making) checkDir() error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	for _, name := range []string{keyFile, secretFile, settingsFile} {
		if _, err := os.Lstat(filepath.Join(m.dir, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is there already: give another --dir, or move it away if that App is gone", filepath.Join(m.dir, name))
		}
	}
	probe, err := os.CreateTemp(m.dir, ".probe-")
	if err != nil {
		return fmt.Errorf("--dir: nothing can be written to %s: %w", m.dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// ask serves the page that leads to GitHub, and waits until GitHub has led back.
func (m *making) ask(ctx context.Context) (setup.App, error) {
	listener, err := net.Listen("tcp", m.listen)
	if err != nil {
		return setup.App{}, fmt.Errorf("--listen: %w", err)
	}
	m.state, m.back, m.done = rand.Text(), "http://"+listener.Addr().String()+"/done", make(chan result, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", m.page)
	mux.HandleFunc("GET /done", m.returned)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }() // ends with Shutdown
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // the last page is on its way
		<-ended
	}()
	here := "http://" + listener.Addr().String() + "/"
	fmt.Fprintf(m.out, "Open %s and press the buttons, there and at GitHub.\n", here)
	if !m.noBrowser {
		openBrowser(ctx, here)
	}
	ctx, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	select {
	case r := <-m.done:
		return r.app, r.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return setup.App{}, fmt.Errorf("nobody pressed the buttons within %v; if there is an App %q at GitHub now, delete it", m.wait, m.plan.Name)
		}
		return setup.App{}, ctx.Err()
	}
}

// openBrowser opens a page; where that fails the address stands on the screen.
func openBrowser(ctx context.Context, address string) {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	cmd := exec.CommandContext(ctx, program, address)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // how it ends says nothing
	}
}

const look = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Treeline and GitHub</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:8vh auto;padding:0 1rem}button{font:inherit;padding:.4em 1em}td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}</style>`

var (
	askPage = template.Must(template.New("ask").Parse(look + `<h1>A GitHub App for {{.Plan.RootURL}}</h1>
<p>GitHub shows the App once more before it is made{{if .Plan.Org}}, for the organization <b>{{.Plan.Org}}</b>{{end}}. It will be allowed to do this, and nothing else:</p>
<table><thead><tr><th>Permission</th><th>Access</th><th>What for</th></tr></thead><tbody>{{range .Needs}}<tr><td>{{.Permission}}</td><td>{{.Level}}</td><td>{{.Why}}</td></tr>{{end}}</tbody></table>
<form action="{{.Action}}" method="post"><input type="hidden" name="manifest" value="{{.Manifest}}"><p><button>Go on at GitHub</button></p></form>`))
	donePage = template.Must(template.New("done").Parse(look + `{{if .Err}}<h1>It did not work</h1><p>{{.Err}}</p>{{else}}<h1>{{.App.Name}} is made</h1><p>The terminal says where its secrets are, and what comes next. Then you will <a href="{{.App.HTMLURL}}/installations/new">install it</a>.</p>{{end}}`))
)

func (m *making) page(w http.ResponseWriter, _ *http.Request) {
	action, manifest, err := m.plan.Form(m.state, m.back)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = askPage.Execute(w, map[string]any{"Plan": m.plan, "Needs": setup.Needs(), "Action": action, "Manifest": manifest}) // the browser may have gone
}

// returned is where GitHub leads to. Only who came from our page knows the state.
func (m *making) returned(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(m.state)) != 1 || r.FormValue("code") == "" {
		w.WriteHeader(http.StatusForbidden)
		_ = donePage.Execute(w, map[string]any{"Err": "This address is not one that GitHub led to: begin at the address in the terminal."})
		return
	}
	a, err := m.plan.Exchange(r.Context(), r.FormValue("code"))
	shown := ""
	if err != nil {
		shown = err.Error()
		w.WriteHeader(http.StatusBadGateway)
	}
	_ = donePage.Execute(w, map[string]any{"App": a, "Err": shown})
	select {
	case m.done <- result{a, err}:
	default: // the page was loaded twice
	}
}

func (m *making) keepInFiles(a setup.App) error {
	dir, err := filepath.Abs(m.dir)
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	text := fmt.Sprintf("export %s=%d\nexport %s=%s\nexport %s=%s\n", settings.AppIDSetting, a.ID, settings.KeyFileSetting, quoted(at(keyFile)), settings.SecretsSetting, quoted("file:"+at(secretFile)))
	if api := m.plan.API(); api != "" {
		text += fmt.Sprintf("export %s=%s\n", settings.APISetting, quoted(api))
	}
	for name, content := range map[string]string{keyFile: a.Key, secretFile: a.WebhookSecret + "\n", settingsFile: text} {
		if err := app.WriteFile(at(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(m.out, "The App %s is made, its id is %d. Its key, its webhook secret and the settings are in %s.\n\nStart the server with them:\n    . %s && treeline serve\n", a.Name, a.ID, m.dir, filepath.Join(m.dir, settingsFile))
	return nil
}

func (m *making) keepInServer(ctx context.Context, c *client.Client, a setup.App) error {
	value, err := json.Marshal(settings.Stored{AppID: a.ID, Key: a.Key, WebhookSecrets: []string{a.WebhookSecret}, API: m.plan.API()})
	if err != nil {
		return err
	}
	if err := c.SetSecret(ctx, m.secret, client.Secret{Secret: value, Expires: task.At(time.Now().AddDate(100, 0, 0))}); err != nil {
		return err
	}
	fmt.Fprintf(m.out, "The App %s is made, its id is %d. Its key and webhook secret are in the server's secret %s.\n\nStart the server with\n    %s=%s treeline serve\n", a.Name, a.ID, m.secret, settings.StoredSetting, m.secret)
	return nil
}
