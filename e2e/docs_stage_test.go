package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
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
	"github.com/treeline-ci/treeline/docs/command"
	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/otlptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/internal/smtptest"
)

// ofAMachine are directories that pages name as if the machine were the reader's: each page has its own below its
// directory.
var ofAMachine = []string{"/etc/treeline", "/var/lib/treeline", "/var/lib/treeline-worker", "/var/lib/treeline-workers", "/srv/worker", "/backup"}

// pushEvent is what .taskcluster.yml may name, for a push.
const pushEvent = `ownTaskId: fN1SbArXTPSVFNUvaOlinQ
repository: {url: "https://example.com/pebble", project: pebble, level: "1", role: "repo:local/pebble"}
push: {owner: ada@example.com, branch: main, revision: 5f2c9a1be07d41d5a4ed6bd2c4a1e97f1a2b3c4d, comment: "Say hello"}
`

// imagesAlias and imageKind make an image of a tree.
const (
	imagesAlias = `    images: {provisioner: local, implementation: docker-worker, os: linux, worker-type: images}`
	imageKind   = `loader: taskgraph.loader.transform:loader
transforms:
  - taskgraph.transforms.docker_image:transforms
  - taskgraph.transforms.cached_tasks:transforms
  - taskgraph.transforms.task:transforms
tasks:
  linux: {symbol: L}
`
)

// aside is a test beside others, which may not change the variables of all.
type aside struct{ testing.TB }

// Setenv is left out: the page's shell has variables of its own.
func (aside) Setenv(string, string) {}

// program puts a script on the page's path.
func (r *reader) program(name, script string) {
	r.t.Helper()
	r.keep("bin/"+name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(filepath.Join(r.dir, "bin", name), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// place is the directory where the page's shell is.
func (r *reader) place() string {
	r.t.Helper()
	place, err := os.ReadFile(filepath.Join(r.dir, "place"))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(place))
}

// export sets variables of the page's shell.
func (r *reader) export(env map[string]string) {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.dir, "env"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		_, e := fmt.Fprintf(f, "export %s='%s'\n", key, env[key])
		err = errors.Join(err, e)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// bring provides what a page says it needs.
func (r *reader) bring(need string) {
	r.t.Helper()
	switch need {
	case "server": // a port for one of the page's own, which treeline dev or treeline serve listens on
		r.port = freePort(r.t)
		own := fmt.Sprintf("http://127.0.0.1:%d", r.port)
		r.names["http://127.0.0.1:8080"], r.names["https://ci.example.com"] = own, own
		r.literal["127.0.0.1:8080"] = strings.TrimPrefix(own, "http://")
		r.export(map[string]string{"PORT": fmt.Sprint(r.port)})
		sh(r.t, r.dir, "rm treeline-data pebble/treeline-data")
	case "database":
		r.bringDatabase(pgtest.URL(r.t))
	case "cluster": // a PostgreSQL of the page's own, with a server
		r.bringCluster()
	case "checkout": // Treeline's own, as it is after make: a page begins there
		sh(r.t, r.dir, "mkdir -p treeline/bin treeline/ui/dist; touch -d '1 hour ago' treeline/ui/dist/.built; cp -p '"+program+"' treeline/bin/treeline")
		here, err := filepath.Abs("..")
		if err != nil {
			r.t.Fatal(err)
		}
		sh(r.t, r.dir, "ln -s '"+here+"/Makefile' '"+here+"/tools' treeline/")
		r.keep("place", filepath.Join(r.dir, "treeline"))
	case "mail":
		s := smtptest.Start(r.t, smtptest.Options{User: "ci", Password: "PASSWORD"})
		r.export(map[string]string{"TREELINE_SMTP_CA": s.CA})
		r.literal["smtp://ci:PASSWORD@mail.example.com:587"] = fmt.Sprintf("smtp://ci:PASSWORD@%s:%d", s.Host, s.Port)
	case "slack":
		s := chattest.StartSlack(r.t)
		r.export(map[string]string{"TREELINE_SLACK_URL": s.URL, "TREELINE_SLACK_TOKEN": chattest.SlackToken})
	case "bucket":
		s := s3test.Start(r.t)
		for _, name := range []string{"https://s3.eu-central-1.amazonaws.com", "https://s3.us-west-2.amazonaws.com"} {
			r.names[name] = s.Endpoint
		}
		r.names["example-ci"], r.names["example-ci-us"] = s.Bucket(r.t), s.Bucket(r.t)
		for _, name := range []string{"S3", "AWS"} {
			r.export(map[string]string{name + "_ACCESS_KEY": s3test.AccessKey, name + "_SECRET_KEY": s3test.SecretKey})
		}
	case "followed": // the page's repository, by a server of its own
		r.bring("server")
		r.launch(command.Block{Language: "sh", Lines: []string{"treeline dev --repo ."}, Stays: "Treeline is running"})
	case "mercurial": // a server of it that keeps a pushlog, with a repository that a server of the page's own follows
		r.bring("database")
		repo := hgtest.Init(r.t, "central")
		repo.Commit("begin", hgTree())
		r.literal["https://hg.example.com/central"] = repo.Serve(hgtest.Pushlog(r.t)...).URL
		r.keep("repositories.yml", fmt.Sprintf("repositories:\n  - {name: central, kind: hg, url: '%s', level: 3, trust-domain: acme}\n", r.literal["https://hg.example.com/central"]))
		r.launch(command.Block{Language: "sh", Lines: []string{"TREELINE_REPOSITORIES=" + filepath.Join(r.dir, "repositories.yml") + " treeline serve"}, Stays: `"serving"`})
	case "certificate": // a server that shows one
		s := httptest.NewTLSServer(http.NotFoundHandler())
		r.t.Cleanup(s.Close)
		r.literal["hg.example.com:443"] = s.Listener.Addr().String()
	case "images": // a tree with one, and an engine
		host := podmantest.Start(aside{r.t})
		env := podmantest.Environment(host)
		r.literal["/tmp/podman.sock"] = filepath.Join(env["TMPDIR"], "own.sock") // which is short
		r.export(env)
		sh(r.t, filepath.Join(r.dir, "pebble"), "mkdir -p taskcluster/docker/linux taskcluster/kinds/docker-image; sed -i 's/^  aliases:/&\\n"+imagesAlias+"/' taskcluster/config.yml")
		r.keep("pebble/taskcluster/docker/linux/Dockerfile", "FROM "+podmantest.Image+"\nRUN echo made > /made\n")
		r.keep("pebble/taskcluster/kinds/docker-image/kind.yml", imageKind)
	case "sts": // Amazon's, and keys for all clouds
		r.bringSTS()
	case "ec2": // machines, and what tells one of them what it is
		r.bringEC2()
	case "root": // see lacks
	case "two-persons": // a server that asks for them
		r.bring("database")
		r.launch(command.Block{Language: "sh", Lines: []string{"TREELINE_TWO_PERSONS='role:repo:github.com/acme/*' treeline serve"}, Stays: `"serving"`})
	case "github":
		r.bringGitHub()
	case "installation": // of the App that was made there
		r.bringInstallation()
	case "broker":
		r.bringBroker()
	case "identities": // a provider of them, at which Ada has an account
		r.bringIdentities()
	case "browser": // which Ada sits in front of, as at a terminal
		r.bringBrowser()
	case "publisher": // a task, which types the next block
		r.byTask = true
	case "visitor": // of the task that is lent
		r.proofs = append(r.proofs, r.visitsLoaner)
	case "terminal":
		r.terminal = true
	case "mailer":
		r.program("mail", "cat > ~/mail")
	case "event":
		r.keep("pebble/event.yml", pushEvent)
	case "receiver":
		r.names["http://localhost:4318"] = otlptest.Start(r.t).URL
	default:
		r.t.Fatalf("nobody knows how to bring %s", need)
	}
}

var (
	ownServer = regexp.MustCompile(`\btreeline (serve|dev)\b`)
	leftOut   = regexp.MustCompile(`\b([A-Z][A-Z0-9_]*)=…`)
	andSoOn   = regexp.MustCompile(` …( |\n|$)`)
	asNobody  = regexp.MustCompile(` --run-as [a-z]+`)
)

// command is what is typed for what a page says: with what stands here for its words, the page's port, and without what
// is left to the reader.
func (r *reader) command(text string) string {
	text = andSoOn.ReplaceAllString(leftOut.ReplaceAllString(r.fill(text), `$1="$$$1"`), "$1")
	if os.Geteuid() != 0 { // only root makes tasks another user's
		text = asNobody.ReplaceAllString(text, "")
	}
	if r.port == 0 {
		return text
	}
	return ownServer.ReplaceAllStringFunc(text, func(c string) string {
		if strings.HasSuffix(c, "serve") {
			return fmt.Sprintf("%s --listen 127.0.0.1:%d", c, r.port)
		}
		return fmt.Sprintf("%s --port %d", c, r.port)
	})
}

// staying is a command that stays until it is stopped.
type staying struct {
	what   string // the first words of the command: the same is not started beside itself
	cmd    *exec.Cmd
	out    *output
	exited chan error
	ended  bool

	keyboard io.Closer // of its terminal
}

var firstWords = regexp.MustCompile(`\b(?:treeline|make|hg|curl|podman) [a-z-]+(?: [a-z]+)?`)

// launch types a block in a terminal of its own, and waits until its last command says that it is up.
func (r *reader) launch(b command.Block) {
	r.t.Helper()
	var typed []string
	for _, step := range b.Steps() {
		typed = append(typed, step.Command)
	}
	text := r.command(strings.Join(typed, "\n"))
	s := &staying{what: firstWords.FindString(text), out: &output{}, exited: make(chan error, 1)}
	for _, other := range r.staying {
		if other.what == s.what {
			other.stop(r.t)
		}
	}
	r.keep("typed", "set -e\n. '"+r.dir+"/env'\ncd \"$(cat '"+r.dir+"/place')\"\n"+text+"\n")
	s.cmd = exec.Command("sh", filepath.Join(r.dir, "typed"))
	if r.terminal {
		s.cmd = exec.Command("script", "-qefc", "sh '"+filepath.Join(r.dir, "typed")+"'", filepath.Join(r.dir, "typescript"))
		keyboard, err := s.cmd.StdinPipe() // which stays open, and silent
		if err != nil {
			r.t.Fatal(err)
		}
		s.keyboard = keyboard
	}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.WaitDelay = s.out, s.out, 5*time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	r.staying = append(r.staying, s)
	r.t.Cleanup(func() { s.stop(r.t) })
	var asked time.Time
	(&machine{instance: r.m.instance, t: r.t}).eventually(patience, fmt.Sprintf("%s:%d: %s says %s", b.Page, b.Line, text, b.Stays), func(context.Context) error {
		if strings.Contains(s.out.from(0), b.Stays) {
			return nil
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("it ended: %w: %w\n%s", errFinal, err, tail(s.out.from(0), 3000))
		default:
		}
		if b.Meanwhile != "" && time.Since(asked) > 2*time.Second {
			asked = time.Now()
			out, err := r.typed(b.Meanwhile)
			if err != nil {
				return fmt.Errorf("meanwhile: %w: %w\n%s", errFinal, err, tail(out, 1500))
			}
			if strings.Contains(out, b.Stays) {
				return nil
			}
		}
		return errors.New(tail(s.out.from(0), 3000))
	})
	r.signIn(s.what)
}

var rootToken = regexp.MustCompile(`"rootAccessToken": *"([^"]+)"`)

// signIn gives the page's shell the operator's credentials of the server that was just started.
func (r *reader) signIn(what string) {
	r.t.Helper()
	file := ""
	switch {
	case strings.HasPrefix(what, "treeline serve"):
		file = filepath.Join(r.literal["/var/lib/treeline"], "secrets.json")
	case strings.HasPrefix(what, "treeline dev"), strings.HasPrefix(what, "make run"):
		found, err := filepath.Glob(filepath.Join(r.place(), "treeline-data", "secrets.json")) // the pattern is good
		if err != nil || len(found) != 1 {
			return // it is in another place, and the page says where
		}
		file = found[0]
	default:
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	token := rootToken.FindStringSubmatch(string(text))
	if token == nil {
		r.t.Fatalf("%s has no token", file)
	}
	r.export(map[string]string{"TASKCLUSTER_ROOT_URL": r.names["https://ci.example.com"], "TASKCLUSTER_CLIENT_ID": app.RootClient, "TASKCLUSTER_ACCESS_TOKEN": token[1]})
}

// stop ends it as Ctrl-C does, with all that it started, and sees that it ends.
func (s *staying) stop(t *testing.T) {
	t.Helper()
	if s.ended {
		return
	}
	s.ended = true
	group := -s.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	tick, deadline := time.NewTicker(20*time.Millisecond), time.After(90*time.Second)
	defer tick.Stop()
	for syscall.Kill(group, 0) == nil { // what the shell started may take longer than the shell
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("%s does not end: %v\n%s", s.what, syscall.Kill(group, syscall.SIGKILL), tail(s.out.from(0), 2000))
		}
	}
	<-s.exited
	if s.keyboard != nil {
		if err := s.keyboard.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}
