package runtask

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// plan is what one run of run-task is to do.
type plan struct {
	checkouts []checkout
	user      string // whom the command runs as when run-task is root
	group     string // "" is the user's own
	named     bool   // the user was asked for, and is not the one that is usual
	cwd       string // of the command, "" for the task's directory
	caches    []string
	untrusted bool // caches may come from somebody less trusted: their owner may be wrong
	volumes   []string
	command   []string
	env       environment
}

// checkout is one repository to check out.
type checkout struct {
	prefix       string // upper case, of its environment variables
	name         string // for people
	dir          string // absolute
	kind         string // "git" or "hg"
	base         string // repository to clone first
	head         string // repository that has the revision
	ref          string
	rev          string
	baseRev      string
	shallow      bool
	secret       string // name of the secret with the ssh key
	requirements string // file of Python packages, absolute
	ssh          string // command, once the key is there
	inside       []string
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

// take removes a variable that is for run-task and not for the command.
func (e environment) take(name string) string {
	value := e[name]
	delete(e, name)
	return value
}

// Usage describes the arguments.
const Usage = "run-task [--NAME-checkout=DIR] [--NAME-shallow-clone] [--task-cwd DIR] [--user USER] [--group GROUP] -- COMMAND..."

// parse reads the arguments and the environment; workdir is the task's directory. Errors are
// fault.Invalid and name the argument or variable.
func parse(args, environ []string, workdir string) (*plan, error) {
	p := &plan{env: newEnvironment(environ), user: usualUser}
	wanted := newCheckouts()
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
			wanted.of(repo).shallow = true
			continue
		}
		if !given {
			if len(args) == 0 {
				return nil, fault.New(fault.Invalid, "run-task: option %s needs a value", flag)
			}
			value, args = args[0], args[1:]
		}
		if err := p.option(name, value, workdir, wanted); err != nil {
			return nil, err
		}
	}
	if len(p.command) == 0 {
		return nil, fault.New(fault.Invalid, "run-task: there is no command. Usage: %s", Usage)
	}
	p.caches, p.volumes = paths(p.env.take("TASKCLUSTER_CACHES")), paths(p.env.take("TASKCLUSTER_VOLUMES"))
	p.untrusted = p.env.take("TASKCLUSTER_UNTRUSTED_CACHES") != ""
	var err error
	if p.checkouts, err = wanted.fill(p.env, workdir); err != nil {
		return nil, err
	}
	p.absolutise(workdir)
	return p, nil
}

func (p *plan) option(name, value, workdir string, wanted *checkouts) error {
	switch repo, isCheckout := strings.CutSuffix(name, "-checkout"); {
	case isCheckout:
		wanted.of(repo).dir = absolute(workdir, value)
	case name == "task-cwd":
		p.cwd = absolute(workdir, value)
	case name == "user":
		p.user, p.named = value, true
	case name == "group":
		p.group, p.named = value, true
	default:
		return fault.New(fault.Invalid, "run-task: unknown option --%s. Usage: %s", name, Usage)
	}
	return nil
}

// paths splits a list of directories as TASKCLUSTER_CACHES has it.
func paths(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ";"), func(p string) bool { return p == "" })
}

// checkouts collects what the options say of each repository.
type checkouts struct {
	byName map[string]*checkout
	order  []string
}

func newCheckouts() *checkouts { return &checkouts{byName: map[string]*checkout{}} }

func (cs *checkouts) of(name string) *checkout {
	if cs.byName[name] == nil {
		cs.byName[name] = &checkout{prefix: strings.ToUpper(strings.ReplaceAll(name, "-", "_")), name: name}
		cs.order = append(cs.order, name)
	}
	return cs.byName[name]
}

// fill adds what the environment says and puts parents before the repositories inside them.
func (cs *checkouts) fill(env environment, workdir string) ([]checkout, error) {
	names := map[string]string{}
	if text := env["REPOSITORIES"]; text != "" {
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "run-task: REPOSITORIES is not a JSON object of prefixes and names")
		}
	}
	var out []checkout
	for _, name := range cs.order {
		c := cs.byName[name]
		if c.dir == "" {
			continue // a shallow clone of something that is not checked out
		}
		if names[name] != "" {
			c.name = names[name]
		}
		if err := c.fill(env, workdir); err != nil {
			return nil, err
		}
		out = append(out, *c)
	}
	slices.SortStableFunc(out, func(a, b checkout) int {
		return slices.Compare(strings.Split(a.dir, "/"), strings.Split(b.dir, "/"))
	})
	for i := range out {
		for _, other := range out {
			if rel, err := filepath.Rel(out[i].dir, other.dir); err == nil && rel != "." && filepath.IsLocal(rel) {
				out[i].inside = append(out[i].inside, filepath.ToSlash(rel))
			}
		}
	}
	return out, nil
}

// fill takes from the environment where the sources are.
func (c *checkout) fill(env environment, workdir string) error {
	variable := func(name string) string { return env[c.prefix+"_"+name] }
	c.head, c.base = variable("HEAD_REPOSITORY"), variable("BASE_REPOSITORY")
	c.ref, c.rev, c.baseRev = variable("HEAD_REF"), variable("HEAD_REV"), variable("BASE_REV")
	c.kind, c.secret = variable("REPOSITORY_TYPE"), variable("SSH_SECRET_NAME")
	if file := variable("PIP_REQUIREMENTS"); file != "" {
		c.requirements = absolute(workdir, file)
	}
	if c.kind == "" {
		c.kind = "git"
	}
	if c.base == "" {
		c.base = c.head
	}
	if c.head == "" {
		c.head = c.base
	}
	if strings.Trim(c.baseRev, "0") == "" {
		c.baseRev = "" // a new branch has no base
	}
	for _, place := range []*string{&c.head, &c.base} {
		if *place == "." || *place == ".." || strings.HasPrefix(*place, "./") || strings.HasPrefix(*place, "../") {
			*place = absolute(workdir, *place)
		}
	}
	switch {
	case c.kind != "git" && c.kind != "hg":
		return fault.New(fault.Invalid, "run-task: %s_REPOSITORY_TYPE is %q; it must be git or hg", c.prefix, c.kind)
	case c.head == "":
		return fault.New(fault.Invalid, "run-task: %s_HEAD_REPOSITORY is not set, so there is nothing to check out", c.prefix)
	case c.rev == "" && c.ref == "":
		return fault.New(fault.Invalid, "run-task: set %s_HEAD_REV or %s_HEAD_REF to say what to check out", c.prefix, c.prefix)
	}
	for _, value := range []string{c.head, c.base, c.ref, c.rev, c.baseRev} {
		if strings.HasPrefix(value, "-") || strings.ContainsAny(value, "\n\x00") {
			return fault.New(fault.Invalid, "run-task: %q is no repository, ref or revision", value)
		}
	}
	return nil
}

// absolutise makes paths that the transforms give relative to the task's directory absolute, since
// the command may run elsewhere.
func (p *plan) absolutise(workdir string) {
	names := []string{"CARGO_HOME", "MOZ_FETCHES_DIR", "UPLOAD_DIR", "PIP_CACHE_DIR", "UV_CACHE_DIR", "npm_config_cache", "VCS_PATH", "HG_STORE_PATH"}
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
