package run

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func runTaskShape() schema.Type {
	text := schema.String()
	return schema.Open(
		schema.Req("using", schema.Enum("run-task")),
		schema.Req("command", schema.OneOf(schema.Reference(), schema.List(schema.Reference()))),
		schema.Req("checkout", schema.OneOf(schema.Bool(), schema.Map(schema.Map(schema.Any())))),
		schema.Req("workdir", text),
		schema.Opt("use-caches", schema.OneOf(schema.Bool(), schema.List(schema.Enum(config.Caches()...)))),
		schema.Opt("cwd", text),
		schema.Opt("exec-with", schema.Enum("bash", "powershell")),
		schema.Opt("run-task-command", schema.List(text)),
		schema.Opt("run-as-root", schema.Bool()),
	)
}

// shell is the command that runs a command line given as one string.
func (j *job) shell() []any {
	if j.str("exec-with") == "powershell" {
		return []any{"powershell.exe", "-ExecutionPolicy", "Bypass"}
	}
	return []any{"bash", "-cx"}
}

// setUp writes checkouts, directory and caches, and returns what stands before "--" in the
// command.
func (j *job) setUp(command []any) ([]any, error) {
	j.growEnv()
	_, hasCwd := j.run["cwd"].(string)
	cwd := j.str("cwd")
	if j.checksOut() {
		out, err := j.checkout()
		if err != nil {
			return nil, err
		}
		command = append(command, out.options...)
		if hasCwd {
			if cwd, err = j.inCheckout(cwd, out.dir); err != nil {
				return nil, err
			}
		}
	} else if strings.Contains(cwd, "{checkout}") {
		return nil, j.Errorf("run.cwd", "names {checkout}, but the task has no checkout")
	}
	if hasCwd {
		command = append(command, "--task-cwd", cwd)
	}
	if err := j.caches(); err != nil {
		return nil, err
	}
	j.env()["MOZ_SCM_LEVEL"] = j.c.Level()
	return command, nil
}

// growEnv makes room in the environment for what setUp and the payload's builder add.
func (j *job) growEnv() {
	const more = 16
	env := value.Map(j.worker, "env")
	if _, there := j.worker["env"]; there && env == nil {
		return // no mapping: that is told by whoever writes to it
	}
	grown := make(map[string]any, len(env)+more)
	maps.Copy(grown, env)
	j.worker["env"] = j.Mine(grown)
}

// inCheckout puts the checkout's directory into a working directory.
func (j *job) inCheckout(cwd, dir string) (string, error) {
	var buf [256]byte
	key := transform.Field(transform.Field(append(buf[:0], "cwd"...), cwd), dir)
	if v, ok := j.c.Share(key); ok {
		return v.(string), nil
	}
	text, err := value.Format(cwd, value.NameMap{"checkout": dir})
	if err != nil {
		return "", j.Errorf("run.cwd", "%v", err)
	}
	return j.c.Keep(key, path.Clean(text)).(string), nil
}

func (j *job) checksOut() bool { return value.Truthy(j.run["checkout"]) }

// joinPath joins as the field does: an empty second part leaves a slash at the end.
func joinPath(a, b string) string {
	if strings.HasPrefix(b, "/") {
		return b
	}
	if a == "" || strings.HasSuffix(a, "/") {
		return a + b
	}
	return a + "/" + b
}

func dockerRunTask(_ runner, j *job) error {
	command := append(make([]any, 0, 12), value.List(j.run, "run-task-command")...)
	if len(command) == 0 {
		command = append(command, "/usr/local/bin/run-task")
	}
	command, err := j.setUp(command)
	if err != nil {
		return err
	}
	line, ok := j.run["command"].([]any)
	if !ok {
		line = append(j.shell(), j.run["command"])
	}
	j.worker["command"] = append(j.asRoot(command), line...)
	return nil
}

// asRoot ends the part of the command that is for run-task.
func (j *job) asRoot(command []any) []any {
	if j.run["run-as-root"] == true {
		command = append(command, "--user", "root", "--group", "root")
	}
	return append(command, "--")
}

func genericRunTask(_ runner, j *job) error {
	command := slices.Clone(value.List(j.run, "run-task-command"))
	if len(command) == 0 {
		command = []any{"./run-task"}
		if j.isWindows() {
			command = []any{"C:/mozilla-build/python3/python3.exe", "run-task"}
		}
	}
	command, err := j.setUp(command)
	if err != nil {
		return err
	}
	j.mountScript("run-task")
	if value.Truthy(value.Map(j.worker, "env")["MOZ_FETCHES"]) {
		j.mountScript("fetch-content")
	}
	line, err := j.genericLine()
	if err != nil {
		return err
	}
	command = j.asRoot(command)
	if j.worker["os"] == "linux-bitbar" {
		command = append(command, "/builds/taskcluster/script.py")
	}
	command = append(command, line...)
	if !j.isWindows() {
		j.worker["command"] = []any{[]any{"chmod", "+x", "run-task"}, command}
		return nil
	}
	words, ok := value.Strings(command)
	if !ok {
		return j.Errorf("run.command", "cannot hold references on Windows, where the command is one string")
	}
	j.worker["command"] = []any{strings.Join(words, " ")}
	return nil
}

func (j *job) genericLine() ([]any, error) {
	switch v := j.run["command"].(type) {
	case []any:
		return v, nil
	case string:
		if j.isWindows() {
			v = `"` + v + `"`
		}
		return append(j.shell(), v), nil
	}
	return nil, j.Errorf("run.command", "a reference as the whole command works on docker-worker only; put it into a list")
}

// mountScript makes the worker fetch one of the decision's scripts.
func (j *job) mountScript(name string) {
	root, id := j.c.RootURL, j.c.DecisionTaskID
	if root == "" {
		root = "<ROOT_URL>" // as with the task id, a local run does not know it
	}
	if id == "" {
		id = "<TASK_ID>"
	}
	j.add("mounts", map[string]any{
		"content": map[string]any{"url": strings.TrimSuffix(root, "/") + "/api/queue/v1/task/" + id + "/artifacts/public/" + name},
		"file":    "./" + name,
	})
}
