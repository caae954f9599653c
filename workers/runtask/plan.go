package runtask

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// plan is what one run of run-task is to do.
type plan struct {
	checkouts []checkout
	cwd       string // of the command, "" for the task's directory
	command   []string
	env       environment
}

// checkout is one repository to check out.
type checkout struct {
	prefix  string // upper case, of its environment variables
	dir     string // absolute
	kind    string // "git" or "hg"
	base    string // repository to clone first
	head    string // repository that has the revision
	ref     string
	rev     string
	shallow bool
}

// environment is the variables, by name.
type environment map[string]string

func newEnvironment(list []string) environment {
	env := environment{}
	for _, kv := range list {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env
}

func (e environment) list() []string {
	list := make([]string, 0, len(e))
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// Usage describes the arguments.
const Usage = "run-task [--NAME-checkout=DIR] [--NAME-shallow-clone] [--task-cwd DIR] [--user USER] [--group GROUP] -- COMMAND..."

// parse reads the arguments and the environment; workdir is the task's directory. Errors are
// fault.Invalid and name the argument or variable.
func parse(args, environ []string, workdir string) (*plan, error) {
	p := &plan{env: newEnvironment(environ)}
	byName := map[string]*checkout{}
	var order []string
	named := func(name string) *checkout {
		if byName[name] == nil {
			byName[name] = &checkout{prefix: strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
			order = append(order, name)
		}
		return byName[name]
	}
	for len(args) > 0 {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			p.command = args
			break
		}
		name, value, given := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !strings.HasPrefix(flag, "--") {
			return nil, fault.New(fault.Invalid, "run-task: %q is no option; the command stands behind --. Usage: %s", flag, Usage)
		}
		if repo, ok := strings.CutSuffix(name, "-shallow-clone"); ok {
			named(repo).shallow = true
			continue
		}
		if !given {
			if len(args) == 0 {
				return nil, fault.New(fault.Invalid, "run-task: option %s needs a value", flag)
			}
			value, args = args[0], args[1:]
		}
		switch repo, isCheckout := strings.CutSuffix(name, "-checkout"); {
		case isCheckout:
			named(repo).dir = absolute(workdir, value)
		case name == "task-cwd":
			p.cwd = absolute(workdir, value)
		case name == "user", name == "group": // a worker of ours runs the task as its user already
		default:
			return nil, fault.New(fault.Invalid, "run-task: unknown option %s. Usage: %s", flag, Usage)
		}
	}
	if len(p.command) == 0 {
		return nil, fault.New(fault.Invalid, "run-task: there is no command. Usage: %s", Usage)
	}
	for _, name := range order {
		c := byName[name]
		if c.dir == "" {
			continue // a shallow clone of something that is not checked out
		}
		if err := c.fill(p.env); err != nil {
			return nil, err
		}
		p.checkouts = append(p.checkouts, *c)
	}
	// Parents before the repositories inside them.
	slices.SortStableFunc(p.checkouts, func(a, b checkout) int { return len(a.dir) - len(b.dir) })
	p.absolutise(workdir)
	return p, nil
}

// fill takes from the environment where the sources are.
func (c *checkout) fill(env environment) error {
	variable := func(name string) string { return env[c.prefix+"_"+name] }
	c.head, c.base = variable("HEAD_REPOSITORY"), variable("BASE_REPOSITORY")
	c.ref, c.rev = variable("HEAD_REF"), variable("HEAD_REV")
	c.kind = variable("REPOSITORY_TYPE")
	if c.kind == "" {
		c.kind = "git"
	}
	if c.base == "" {
		c.base = c.head
	}
	if c.head == "" {
		c.head = c.base
	}
	switch {
	case c.kind != "git" && c.kind != "hg":
		return fault.New(fault.Invalid, "run-task: %s_REPOSITORY_TYPE is %q; it must be git or hg", c.prefix, c.kind)
	case c.head == "":
		return fault.New(fault.Invalid, "run-task: %s_HEAD_REPOSITORY is not set, so there is nothing to check out", c.prefix)
	case c.rev == "" && c.ref == "":
		return fault.New(fault.Invalid, "run-task: set %s_HEAD_REV or %s_HEAD_REF to say what to check out", c.prefix, c.prefix)
	}
	for _, value := range []string{c.head, c.base, c.ref, c.rev} {
		if strings.HasPrefix(value, "-") || strings.ContainsAny(value, "\n\x00") {
			return fault.New(fault.Invalid, "run-task: %q is no repository, ref or revision", value)
		}
	}
	return nil
}

// absolutise makes paths that the transforms give relative to the task's directory absolute, since
// the command may run elsewhere.
func (p *plan) absolutise(workdir string) {
	names := []string{"CARGO_HOME", "MOZ_FETCHES_DIR", "UPLOAD_DIR", "PIP_CACHE_DIR", "UV_CACHE_DIR", "npm_config_cache", "VCS_PATH"}
	for _, c := range p.checkouts {
		names = append(names, c.prefix+"_PATH")
	}
	for _, name := range names {
		if value := p.env[name]; value != "" {
			p.env[name] = absolute(workdir, value)
		}
	}
	p.env["TASK_WORKDIR"] = workdir
}

func absolute(workdir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(workdir, path)
}

func (c checkout) String() string { return fmt.Sprintf("%s of %s", c.revision(), c.head) }

func (c checkout) revision() string {
	if c.rev != "" {
		return c.rev
	}
	return c.ref
}
