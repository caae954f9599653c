package actions

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
	"github.com/treeline-ci/treeline/importer/actions/known"
)

// action writes a step that uses an action.
func (s *script) action(st *step, uploads []*upload) {
	name, version := st.action()
	switch {
	case name == "actions/checkout":
		s.checkout(st)
	case name == "actions/upload-artifact" || name == "actions/upload-pages-artifact":
		s.upload(st, uploads)
	case name == "actions/download-artifact":
		s.download(st, uploads)
	case strings.HasPrefix(name, "actions/cache"):
		s.cache(st, name)
	case known.Setup(name) != "":
		s.setup(st, name, version)
	case commands[name] != nil:
		if line := commands[name](s, st); line != "" {
			s.wrap(st, line, true)
		}
	case known.Replaced(name) != "":
		s.f.note(st.n, "uses "+name, known.Replaced(name))
		s.line("# uses %s: %s", name, known.Replaced(name))
	case strings.HasPrefix(name, "docker://"):
		s.not(st, name, "run the image with docker run in a script, or give the job a container")
	default:
		s.not(st, name, orText(known.Advice(name), adviceFor(name)))
	}
}

func adviceFor(name string) string {
	if strings.HasPrefix(name, "./") {
		return "the action of this repository is no composite one, or is not there: call its program in a script"
	}
	return "write what it does as a script"
}

// not says that an action is not converted: in the report, in the script, and in the log when the task runs.
func (s *script) not(st *step, name, do string) {
	s.f.left(st.n, "uses "+name, do)
	s.line("# NOT CONVERTED: uses %s: %s", oneLine(st.n.At("uses").Str()), do)
	with := st.n.At("with")
	for _, k := range with.Names() {
		for i, l := range strings.Split(strings.TrimRight(limit(with.At(k).Str(), 2000), "\n"), "\n") {
			if i == 0 {
				s.line("#   %s: %s", oneLine(k), strings.TrimRight(l, "\r"))
			} else {
				s.line("#     %s", strings.TrimRight(l, "\r"))
			}
		}
	}
	s.line("echo %s >&2", bash.Quoted(fmt.Sprintf("NOT CONVERTED: %s:%d: uses %s", st.n.File, st.n.Line, name)))
}

// checkout is run-task's work; what goes beyond is done in the script.
func (s *script) checkout(st *step) {
	with := st.n.At("with")
	s.f.known(with, "actions/checkout", "fetch-depth", "persist-credentials", "submodules", "lfs", "path", "repository", "ref", "token", "clean", "fetch-tags", "ssh-key",
		"show-progress", "set-safe-directory", "filter", "sparse-checkout", "sparse-checkout-cone-mode", "github-server-url", "ssh-strict", "ssh-known-hosts", "ssh-user", "allow-unsafe-pr-checkout")
	if other := with.At("repository"); other != nil {
		v, ok := st.scope.Fill(other.Str())
		if !ok || v != s.f.c.options.Repository || v == "" {
			s.other(st)
			return
		}
	}
	for _, k := range []string{"token", "ssh-key"} {
		if with.At(k) != nil {
			s.f.check(with.At(k), k+" of actions/checkout", "Treeline's decision says where to clone from; for pushing from a task, read a token from a secret in the script")
		}
	}
	if n := with.At("ref"); n != nil && !strings.Contains(n.Str(), "github.event.pull_request.head") && !strings.Contains(n.Str(), "github.sha") && !strings.Contains(n.Str(), "github.ref") && !strings.Contains(n.Str(), "github.head_ref") {
		s.f.check(n, "checks out "+limit(n.Str(), 100), "the task has the revision that was pushed; the script checks that one out as well")
		t, _ := s.fill(st.scope, n, n.Str(), false)
		s.wrap(st, `git fetch --quiet origin "`+t+`" && git checkout --quiet FETCH_HEAD`, false)
	}
	if n := with.At("path"); n != nil && clean(n.Str()) != "." {
		dir := s.word(st, n.Str())
		s.wrap(st, "mkdir -p \"$(dirname "+dir+")\" && ln -sfn \"$PWD\" "+dir, false)
		s.f.check(n, "checks out to "+n.Str(), "run-task has one place for the sources; "+n.Str()+" is a link to it")
	}
	if n := with.At("sparse-checkout"); n != nil {
		s.f.note(n, "sparse-checkout", "run-task checks everything out")
	}
	if n := with.At("submodules"); n != nil && !n.Is("false") {
		line := "git submodule update --init"
		if !n.Is("true") {
			line += " --recursive"
		}
		s.wrap(st, line, false)
	}
	if n := with.At("lfs"); n != nil && !n.Is("false") {
		s.wrap(st, "git lfs pull", false)
	}
}

// other clones another repository. One that is only known when the task runs may be this one: then it is there already.
func (s *script) other(st *step) {
	with := st.n.At("with")
	name, dynamic := s.fill(st.scope, with, with.At("repository").Str(), false)
	to := orText(with.At("path").Str(), path.Base(with.At("repository").Str()))
	if dynamic && with.At("path") == nil {
		to = "other-repository"
	}
	line := `git clone --quiet "https://github.com/` + name + `" ` + s.word(st, to)
	if ref := with.At("ref"); ref != nil {
		t, maybe := s.fill(st.scope, ref, ref.Str(), false)
		checkout := "git -C " + s.word(st, to) + ` checkout --quiet "` + t + `"`
		if maybe {
			checkout = `{ [[ -z "` + t + `" ]] || ` + checkout + `; }`
		}
		line += " && " + checkout
	}
	if dynamic {
		line = fmt.Sprintf(`if [[ -n "%s" && "%s" != %s ]]; then %s; fi`, name, name, bash.Quoted(s.f.c.options.Repository), line)
	}
	if with.At("token") != nil || with.At("ssh-key") != nil {
		s.f.left(st.n, "checks out "+with.At("repository").Str()+" with a token", "the clone is without: read the token from a secret, or name the repository in taskgraph.repositories of config.yml with an ssh-secret-name")
	}
	if with.At("path") == nil {
		s.f.check(st.n, "checks out "+with.At("repository").Str()+" in the place of the sources", "it is in the directory "+to)
	}
	s.wrap(st, line, false)
}

var toolCaches = []struct{ in, tool string }{
	{".npm", "npm"}, {".cache/pip", "pip"}, {".cargo", "cargo"}, {".cache/uv", "uv"},
}

// cache keeps directories from task to task; its keys are Treeline's business.
func (s *script) cache(st *step, name string) {
	if name == "actions/cache/save" {
		s.line("# what is in a cache is there for the next task")
		return
	}
	t := st.n.At("with").At("path").Str()
	if v, ok := st.scope.Fill(t); ok {
		t = v
	}
	for _, p := range strings.Fields(t) {
		s.cachePath(st, p)
	}
	if n := st.n.At("id"); n != nil {
		s.f.check(st.n, "a cache with the id "+n.Str(), "there is no output cache-hit: steps that ask for it run each time")
	}
}

func (s *script) cachePath(st *step, p string) {
	for _, c := range toolCaches {
		if strings.HasPrefix(p, "~/"+c.in) {
			s.tool(c.tool)
			return
		}
	}
	home, inHome := strings.CutPrefix(p, "~/")
	home = strings.TrimSuffix(path.Clean(home), "/")
	if !inHome || strings.ContainsAny(home, "*?[$!") || strings.HasPrefix(home, "..") || s.e.image != "" || s.e.worker.OS == "windows" {
		s.f.check(st.n, "the cache of "+p, "only directories below the home directory are kept from task to task; the task works without, and a mount in worker.mounts can make one")
		return
	}
	name := slug(home)
	for _, m := range s.e.mounts {
		if m.key == name {
			return
		}
	}
	s.e.mounts = append(s.e.mounts, pair{name, home})
}

// tool has the cache of a tool used.
func (s *script) tool(name string) {
	if !slices.Contains(s.e.caches, name) {
		s.e.caches = append(s.e.caches, name)
	}
}

// setup is about what a worker, or its image, must have.
func (s *script) setup(st *step, name, at string) {
	what := known.Setup(name)
	version, ok := st.with(versionKey(name))
	if !ok {
		version = st.n.At("with").At(versionKey(name)).Str()
	}
	if version == "" && name == "dtolnay/rust-toolchain" {
		version = at
	}
	if file := st.n.At("with").At(versionKey(name) + "-file"); version == "" && file != nil {
		version = "of " + file.Str()
	}
	if version != "" {
		what += " " + oneLine(version)
	}
	if cache, _ := st.with("cache"); cache == "npm" || cache == "pip" {
		s.tool(cache)
	}
	switch name {
	case "swatinem/rust-cache":
		s.tool("cargo")
		return
	case "astral-sh/setup-uv":
		s.tool("uv")
	}
	if s.e.image != "" && known.Image(name, "") != "" {
		s.line("# %s: in the image %s", what, s.e.image)
		s.f.note(st.n, "sets up "+what, "the task runs in the image "+s.e.image)
		return
	}
	do := "the worker must have it on its PATH"
	if i := known.Image(name, version); i != "" {
		do += ", or the job runs in an image such as " + i + " (--images)"
	}
	s.line("# needs %s: %s", what, do)
	s.f.note(st.n, "sets up "+what, do)
}
