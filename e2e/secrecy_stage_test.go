package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pg"
)

const secrecyQueue = "secrecy/work"

// stage is a whole deployment that says as much as it can: the server and the worker log details,
// PostgreSQL every statement with its parameters. What it lets see is kept in places.
type stage struct {
	*testing.T
	places
	dir, work   string // of server and database; of the worker
	url         string
	cluster     *pg.Cluster
	secrets     app.Secrets
	root        hawk.Credentials
	server      *output
	worker      *output
	hunt        []hunted // what must be nowhere
	webhook     string   // secret of GitHub's deliveries
	serverStops func()
	workerStops func()
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, dir: t.TempDir(), work: filepath.Join(home, "secrecy"), server: &output{}, worker: &output{}}
	var err error
	s.cluster, err = pg.StartCluster(t.Context(), filepath.Join(s.dir, "pg"), slog.New(slog.DiscardHandler),
		pg.Setting("log_statement", "all"), pg.Setting("log_min_duration_statement", "0"), pg.Setting("log_error_verbosity", "verbose"),
		pg.Setting("log_parameter_max_length", "-1"), pg.Setting("log_parameter_max_length_on_error", "-1"), pg.Setting("log_connections", "on"))
	s.check(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := s.cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	s.check(s.cluster.CreateDatabase(t.Context(), pg.DatabaseName))
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s.url = "http://" + address
	env, hunt := s.configured()
	s.hunt = hunt
	env = append(env, "TREELINE_DATA="+filepath.Join(s.dir, "data"), "TREELINE_ROOT_URL="+s.url)
	s.serverStops = s.run(s.server, env, "serve", "-v", "--listen", address)
	await(t, time.Minute, "the server answers", func() bool {
		resp, err := http.Get(s.url + "/api/queue/v1/ping")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	kept, err := os.ReadFile(filepath.Join(s.dir, "data", "secrets.json"))
	s.check(err)
	s.check(json.Unmarshal(kept, &s.secrets)) // without the encryption key, which stands elsewhere
	s.root = hawk.Credentials{ClientID: app.RootClient, AccessToken: s.secrets.RootToken}
	return s
}

func await(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}

func (s *stage) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run starts the program and returns what ends it; it ends with the test at the latest.
func (s *stage) run(out *output, env []string, args ...string) (stop func()) {
	s.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}, env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	s.check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	running := true
	stop = func() {
		if !running {
			return
		}
		running = false
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait tells
		select {
		case err := <-ended:
			if err != nil {
				s.Errorf("treeline %s: %v\n%s", args[0], err, tail(out.from(0), 2000))
			}
		case <-time.After(time.Minute):
			s.Errorf("treeline %s does not end: %v", args[0], cmd.Process.Kill())
		}
	}
	s.Cleanup(stop)
	return stop
}

func (s *stage) startWorker(creds hawk.Credentials) {
	s.Helper()
	s.check(os.MkdirAll(s.work, 0o755))
	args := []string{"worker", "run", "-v", "--task-queue", secrecyQueue, "--worker-group", "g", "--worker-id", "w", "--dir", s.work}
	if os.Geteuid() == 0 {
		args = append(args, "--run-as", "nobody")
	}
	s.workerStops = s.run(s.worker, environment(s.url, creds), args...)
}

func environment(root string, creds hawk.Credentials) []string {
	return []string{
		"TASKCLUSTER_ROOT_URL=" + root, "TASKCLUSTER_CLIENT_ID=" + creds.ClientID, "TASKCLUSTER_ACCESS_TOKEN=" + creds.AccessToken,
		"TASKCLUSTER_CERTIFICATE=" + creds.Certificate,
	}
}

// ask is one request; the zero values make a GET without credentials.
type ask struct {
	method, path, body string
	contentType        string // of a body; JSON when empty
	as                 hawk.Credentials
	header             map[string]string
}

// send returns the answer. What is refused is kept among the errors.
func (s *stage) send(a ask) (status int, body string) {
	s.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(s.Context(), a.method, s.url+a.path, strings.NewReader(a.body))
	s.check(err)
	if a.body != "" {
		req.Header.Set("Content-Type", "application/json")
		if a.contentType != "" {
			req.Header.Set("Content-Type", a.contentType)
		}
	}
	if a.as.ClientID != "" {
		ext, err := hawk.Ext(a.as)
		s.check(err)
		header, err := hawk.Header(a.as, a.method, s.url+a.path, time.Now(), hawk.Nonce(), ext, "")
		s.check(err)
		req.Header.Set("Authorization", header)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	s.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.check(err)
	if resp.StatusCode >= 400 {
		s.add("bodies of errors", fmt.Sprint(resp.Header, "\n", string(text)))
	}
	return resp.StatusCode, string(text)
}

// must sends as the operator what has to succeed, and returns the answer.
func (s *stage) must(method, path string, body any) map[string]any {
	s.Helper()
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		s.check(err)
		text = string(data)
	}
	status, answer := s.send(ask{method: method, path: path, body: text, as: s.root})
	if status > 299 {
		s.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	var out map[string]any
	if answer != "" {
		s.check(json.Unmarshal([]byte(answer), &out))
	}
	return out
}

// client makes a client and returns its credentials.
func (s *stage) client(id, description string, scopes ...string) hawk.Credentials {
	s.Helper()
	made := s.must("PUT", "/api/auth/v1/clients/"+url.PathEscape(id), map[string]any{
		"expires": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "description": description, "scopes": append([]string{}, scopes...),
	})
	return hawk.Credentials{ClientID: id, AccessToken: made["accessToken"].(string)}
}

// cli runs the command line as somebody, with something on its standard input, and keeps what it says.
func (s *stage) cli(as hawk.Credentials, stdin string, args ...string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), program, args...)
	cmd.Env = append(environment(s.url, as), "PATH="+os.Getenv("PATH"), "HOME="+s.dir)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	s.add("what the command line says", fmt.Sprintln(args, string(out), err))
}

var links = regexp.MustCompile(`(?:href|src|data-[a-z-]+)="(/[^"#]*)`)

// crawl reads the pages that somebody finds from the front page, and returns the session's cookie, ""
// without credentials.
func (s *stage) crawl(as hawk.Credentials, begin ...string) (cookie string) {
	s.Helper()
	jar, err := cookiejar.New(nil)
	s.check(err)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	root, err := url.Parse(s.url)
	s.check(err)
	if as.ClientID != "" {
		form := url.Values{"clientId": {as.ClientID}, "accessToken": {as.AccessToken}, "certificate": {as.Certificate}}
		resp, err := browser.PostForm(s.url+"/login", form)
		s.check(err)
		resp.Body.Close()
		for _, c := range jar.Cookies(root) {
			cookie = c.Value
		}
		if resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusFound || cookie == "" {
			s.Fatalf("%s cannot sign in: %d", as.ClientID, resp.StatusCode)
		}
	}
	queue, seen := append([]string{"/"}, begin...), map[string]bool{}
	for len(queue) > 0 && len(seen) < 150 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || strings.HasPrefix(path, "/ui/assets/") || strings.HasPrefix(path, "/ui/api/stream") {
			continue
		}
		seen[path] = true
		resp, err := browser.Get(s.url + path)
		s.check(err)
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
		s.check(err)
		resp.Body.Close()
		s.add("pages", fmt.Sprint(path, " ", resp.StatusCode, " ", resp.Header.Get("Location"), "\n", string(text)))
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			queue = append(queue, strings.ReplaceAll(m[1], "&amp;", "&"))
		}
	}
	if len(seen) < 4 {
		s.Errorf("%q saw only %d pages", as.ClientID, len(seen))
	}
	return cookie
}

// seeProcesses keeps what others on the machine see of processes, and the environment of the tasks'.
func (s *stage) seeProcesses() {
	s.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	s.check(err)
	tasks := 0
	for _, dir := range dirs {
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		s.add("command lines of processes", strings.ReplaceAll(string(command), "\x00", " "))
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && slices.ContainsFunc(strings.Split(string(environ), "\x00"), func(v string) bool { return strings.HasPrefix(v, "TASK_ID=") }) {
			tasks++
			s.add("environment of tasks", string(environ))
		}
	}
	if tasks == 0 {
		s.Error("no process of a task is seen")
	}
}
