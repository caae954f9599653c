package logincmd

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
)

// patience is how long somebody may take in the browser; codes live as long.
const patience = 10 * time.Minute

// run asks in the browser, and fetches what was allowed. What travels through the browser is a code
// that is worth something only with the verifier, which never leaves this program but to the server.
func (s *signIn) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("nobody answered in the browser within ten minutes"))
	defer cancel()
	verifier, state := random(), random()
	ask := s.question(verifier)
	var code string
	var err error
	if s.noBrowser {
		code, err = s.typed(ask)
	} else {
		code, err = s.brought(ctx, ask, state)
	}
	if err != nil {
		return err
	}
	c, err := s.redeem(ctx, code, verifier)
	if err != nil {
		return err
	}
	return s.deliver(c)
}

// question is the query of the page that asks.
func (s *signIn) question(verifier string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	host, err := os.Hostname()
	if err != nil {
		host = "a machine"
	}
	return url.Values{
		"scope": s.scopes, "name": {s.name + "-" + slug.New()[:6]}, "expires": {s.expires},
		"description": {"The command line on " + host}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
}

func (s *signIn) address(ask url.Values) string {
	return s.root + "/auth/clients/create?" + ask.Encode()
}

// typed asks for the code that the page shows.
func (s *signIn) typed(ask url.Values) (string, error) {
	ask.Set("show_code", "1")
	fmt.Fprintf(s.err, "Open this address in any browser:\n\n  %s\n\nCode: ", s.address(ask))
	line, err := bufio.NewReader(io.LimitReader(s.in, 4096)).ReadString('\n')
	if code := strings.TrimSpace(line); code != "" {
		return code, nil
	}
	return "", errors.Join(errors.New("no code was given"), notEOF(err))
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// brought opens the page, and takes the code that the browser brings to this machine.
func (s *signIn) brought(ctx context.Context, ask url.Values, state string) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return "", fmt.Errorf("listen for the browser: %w", err)
	}
	answers := make(chan answer, 1)
	server := &http.Server{Handler: callback(state, answers), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Shutdown
	defer func() {
		// The browser gets its page before the program ends.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	ask.Set("callback_url", "http://"+listener.Addr().String()+"/")
	ask.Set("state", state)
	address := s.address(ask)
	fmt.Fprintf(s.err, "Opening the browser. If none opens, open this address:\n\n  %s\n\n", address)
	if err := s.open(ctx, address); err != nil {
		fmt.Fprintf(s.err, "No browser was opened: %v\n", err)
	}
	select {
	case a := <-answers:
		return a.code, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// answer is what the browser brings.
type answer struct {
	code string
	err  error
}

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Treeline</title><style>:root{color-scheme:light dark}body{font:16px system-ui,sans-serif;max-width:30em;margin:4em auto;padding:0 1em}</style><h1>%s</h1><p>%s</p></html>`

// callback takes one answer: only the page that was opened knows the state, so a page that somebody
// else lured the browser to cannot answer.
func callback(state string, answers chan<- answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet || r.URL.Path != "/" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, page, "Not here", "This address is for one answer only.")
			return
		}
		a := answer{code: q.Get("code")}
		head, text := "You are signed in", "You may close this window and go back to the terminal."
		if a.code == "" {
			a.err = errors.New("you have not allowed it in the browser")
			head, text = "You are not signed in", "Nothing was given. You may close this window."
		}
		fmt.Fprintf(w, page, head, text)
		select {
		case answers <- a:
		default: // there was one
		}
	})
}

// What goes into a shell's settings must be what ids and tokens are made of, whatever a server sends.
var (
	idShape    = regexp.MustCompile(`^[A-Za-z0-9!@/:.+|_-]+$`)
	tokenShape = regexp.MustCompile(`^[A-Za-z0-9_-]{22,66}$`)
)

func (s *signIn) redeem(ctx context.Context, code, verifier string) (client.Stored, error) {
	body, err := post(ctx, s.root+"/login/cli/redeem", url.Values{"code": {code}, "code_verifier": {verifier}})
	if err != nil {
		return client.Stored{}, fmt.Errorf("fetch the credentials: %w", err)
	}
	var got struct {
		Expires     time.Time
		Credentials struct{ ClientID, AccessToken string }
	}
	if err := json.Unmarshal(body, &got); err != nil || !idShape.MatchString(got.Credentials.ClientID) || !tokenShape.MatchString(got.Credentials.AccessToken) {
		return client.Stored{}, errors.New("the server's answer is not that of a Treeline server")
	}
	return client.Stored{RootURL: s.root, ClientID: got.Credentials.ClientID, AccessToken: got.Credentials.AccessToken, Expires: got.Expires}, nil
}

// post sends a form to the server; an answer of 400 or more is an error with what the server says.
func post(ctx context.Context, address string, form url.Values) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if reply.StatusCode < 300 {
		return body, nil
	}
	var said struct{ Message string }
	if err := json.Unmarshal(body, &said); err != nil || said.Message == "" {
		said.Message = "the server answers " + reply.Status
	}
	return nil, errors.New(said.Message)
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// openBrowser starts the browser that BROWSER names, or the system's, and does not wait for it.
func openBrowser(ctx context.Context, address string) error {
	program := []string{"xdg-open"}
	switch browser := os.Getenv("BROWSER"); {
	case browser != "":
		program = []string{browser}
	case runtime.GOOS == "darwin":
		program = []string{"open"}
	case runtime.GOOS == "windows":
		program = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program[0], append(program[1:], address)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // some browsers say odd things when they end
	return nil
}
