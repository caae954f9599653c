// Package local runs one task on this machine, without a queue: its command with its environment, its caches
// and what it fetches, as processes or in a container. What only a claimed run has (credentials, uploaded
// artifacts, a recorded result) it does without, and says so.
//
// Reading order: local.go (what both engines share), command.go, process.go, container.go, image.go.
package local

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine/container"
	"github.com/treeline-ci/treeline/workers/feature/proxy"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// The engines.
const (
	Process   = "process"
	Container = "container"
)

// Task is a task to run.
type Task struct {
	ID         string // "" when no server knows it
	Name       string
	Definition task.Definition // without references
}

// Host is the machine that runs tasks, and the server that it may ask.
type Host struct {
	Client  *client.Client // nil: there is no server
	Dir     string         // of this machine, for tasks' directories and caches
	Program string         // the treeline program, which tasks use
	In      io.Reader      // what is typed, for interactive tasks
	Out     io.Writer      // what the task prints
	Say     func(format string, args ...any)
	// BuildImage builds the image of the tree with the name and returns what the engine calls it.
	BuildImage func(ctx context.Context, e *container.Engine, name string) (string, error)
}

// Options say how to run a task. The zero value runs it as a worker would.
type Options struct {
	Engine      string // "" chooses: containers for tasks that name an image
	Interactive bool   // a shell in the place of the task's command
	Keep        bool   // the directory or container stays
	Develop     string // a checkout of this machine in the place of the task's own
	User        string // whom the command runs as
	Image       string // another image: NAME:TAG, task-id=ID, index=PATH, or one of the tree
	Binds       []container.Bind
	Proxy       bool // the task proxy signs with the person's own credentials
	NoFetches   bool // what the task would fetch is left out
}

// job is a task on its way.
type job struct {
	Host
	task    Task
	options Options
	payload *payload.Payload
	close   []func()
}

// Run runs the task to its end and returns the exit status of its command.
func Run(ctx context.Context, h Host, t Task, o Options) (code int, err error) {
	t.ID = cmp.Or(t.ID, slug.Nice())
	j := &job{Host: h, task: t, options: o}
	defer func() {
		for _, f := range slices.Backward(j.close) {
			f()
		}
	}()
	parser, err := payload.NewParser()
	if err != nil {
		return 0, err
	}
	image := isContainers(t.Definition.Payload)
	engine := o.Engine
	if engine == "" {
		engine = Process
		if image || o.Image != "" {
			engine = Container
		}
	}
	if j.payload, err = parser.Parse(t.Definition.Payload, payload.Options{Containers: engine == Container, AcceptImages: true}); err != nil {
		return 0, fmt.Errorf("task %s: %w", t.Name, err)
	}
	if o.NoFetches {
		delete(j.payload.Env, "MOZ_FETCHES")
	}
	j.lacks()
	switch engine {
	case Process:
		return j.inProcess(ctx)
	case Container:
		return j.inContainer(ctx)
	}
	return 0, fault.New(fault.BadArguments, "there is no engine %q: choose %s or %s", engine, Process, Container)
}

// isContainers tells whether a payload names an image.
func isContainers(raw json.RawMessage) bool {
	var p struct {
		Image json.RawMessage `json:"image"`
	}
	return json.Unmarshal(raw, &p) == nil && len(p.Image) > 0
}

// lacks tells what the task asks for and does not get here.
func (j *job) lacks() {
	for _, note := range j.payload.Notes {
		j.Say("%s", note)
	}
	if j.payload.Proxy && !j.options.Proxy {
		j.Say("the task asks for the task proxy and gets none, so its calls of the API fail; --proxy signs them with your own credentials")
	}
	var secrets []string
	for _, s := range j.task.Definition.Scopes {
		if strings.HasPrefix(s, "secrets:get:") {
			secrets = append(secrets, strings.TrimPrefix(s, "secrets:get:"))
		}
	}
	if len(secrets) > 0 && !j.options.Proxy {
		j.Say("the secrets %s are not given", strings.Join(secrets, ", "))
	}
	if len(j.payload.Artifacts) > 0 && !j.options.Keep {
		j.Say("its %d artifacts are not uploaded; --keep keeps the files", len(j.payload.Artifacts))
	}
}

// passedOn names variables of the person that tasks see too: how this machine reaches the outside.
func passedOn() []string {
	return []string{
		"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "npm_config_registry", "PIP_INDEX_URL",
	}
}

// environment is what the commands see besides what an engine adds: the payload's own, and who the task is
// (taskcluster-map 16.4).
func (j *job) environment(workdir string) ([]string, error) {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(j.payload.Env)) {
		env = append(env, name+"="+j.payload.Env[name])
	}
	env = append(env, "TASK_ID="+j.task.ID, "RUN_ID=0", "TASK_GROUP_ID="+cmp.Or(j.task.Definition.TaskGroupID, j.task.ID),
		"TASKCLUSTER_WORKER_GROUP=local", "TASKCLUSTER_WORKER_ID=local")
	if workdir != "" {
		env = append(env, "TASK_WORKDIR="+workdir)
	}
	if j.Client != nil {
		env = append(env, "TASKCLUSTER_ROOT_URL="+j.Client.RootURL())
	}
	if j.payload.Proxy && j.options.Proxy {
		address, err := j.startProxy()
		if err != nil {
			return nil, err
		}
		env = append(env, "TASKCLUSTER_PROXY_URL="+address)
	}
	if j.options.Interactive {
		env = append(env, runtask.TerminalVariable+"=1")
	}
	return env, nil
}

// startProxy starts a task proxy whose calls the person's credentials sign, limited to the task's scopes.
func (j *job) startProxy() (string, error) {
	if j.Client == nil || j.Client.Credentials().ClientID == "" {
		return "", fault.New(fault.Unauthenticated, "--proxy needs TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN")
	}
	server, err := proxy.Start(quietLog())
	if err != nil {
		return "", err
	}
	creds := j.Client.Credentials()
	creds.AuthorizedScopes = slices.Clone(j.task.Definition.Scopes)
	limited := j.Client.WithCredentials(creds)
	address, remove := server.Add(func() *client.Client { return limited })
	j.close = append(j.close, func() { remove(); _ = server.Close() }) // only a listener of ours
	return address, nil
}

// bin is a directory with the programs that tasks use: treeline, run-task and fetch-content.
func (j *job) bin() (string, error) {
	dir := filepath.Join(j.Dir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	link := filepath.Join(dir, "treeline")
	if target, err := os.Readlink(link); err != nil || target != j.Program {
		if err := os.RemoveAll(link); err != nil {
			return "", err
		}
		if err := os.Symlink(j.Program, link); err != nil {
			return "", err
		}
	}
	for _, name := range scriptNames() {
		content, err := script(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func scriptNames() []string { return []string{"run-task", "fetch-content"} }

func script(name string) ([]byte, error) {
	scripts, err := runtask.Scripts()
	if err != nil {
		return nil, err
	}
	return fs.ReadFile(scripts, name)
}
