package actions

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
	"github.com/treeline-ci/treeline/importer/actions/expr"
)

var notFile = regexp.MustCompile(`[^A-Za-z0-9._+-]+`)

func fileName(name string) string { return strings.Trim(notFile.ReplaceAllString(name, "-"), "-") }

// uploads are the artifacts that an entry's steps make.
func (f *flow) uploads(e *entry) []*upload {
	var out []*upload
	for _, st := range e.steps {
		if name, _ := st.action(); name != "actions/upload-artifact" {
			continue
		}
		if _, runs := st.guard(); !runs {
			continue
		}
		name, ok := st.with("name")
		if !ok {
			continue // told when the step is written
		}
		out = append(out, &upload{name: orText(name, "artifact"), by: e})
	}
	return out
}

// downloads finds who makes what a step fetches.
func (f *flow) downloads(e *entry, st *step, uploads []*upload) {
	taken := f.taken(e, st, uploads)
	if len(taken) == 0 {
		f.left(st.n, "download-artifact", "no job before it makes the artifact; fetch it by its place in the index")
		return
	}
	for _, u := range taken {
		if u.by == e {
			continue
		}
		u.taken = true
		d := e.depend(u.by)
		want := fetch{fileName(u.name) + ".tar.gz", "artifacts/" + fileName(u.name), true}
		if !slices.Contains(d.fetches, want) {
			d.fetches = append(d.fetches, want)
		}
	}
}

// taken are the artifacts that a step asks for: the one of a name, those that fit a pattern, or all.
func (f *flow) taken(e *entry, st *step, uploads []*upload) []*upload {
	name, ok1 := st.with("name")
	pattern, ok2 := st.with("pattern")
	var out []*upload
	if !ok1 || !ok2 || st.n.At("with").At("run-id") != nil || st.n.At("with").At("repository") != nil {
		return nil
	}
	before := map[*job]bool{}
	e.job.before(before, 0)
	for _, u := range uploads {
		if !before[u.by.job] || name != "" && u.name != name || name == "" && pattern != "" && !expr.Glob(pattern, u.name) {
			continue
		}
		out = append(out, u)
	}
	return out
}

// before marks all jobs that come before a job, and the job.
func (j *job) before(in map[*job]bool, depth int) {
	if in[j] || depth > maxTasks {
		return
	}
	in[j] = true
	for _, n := range j.needs {
		n.before(in, depth+1)
	}
}

// upload writes the step that keeps files.
func (s *script) upload(st *step, uploads []*upload) {
	s.f.known(st.n.At("with"), "upload-artifact", "name", "path", "if-no-files-found", "retention-days", "compression-level", "overwrite", "include-hidden-files")
	name, ok := st.with("name")
	if action, _ := st.action(); action == "actions/upload-pages-artifact" {
		name = orText(name, "github-pages")
	}
	if !ok {
		s.f.left(st.n, "the name of an artifact", "it is not known before something runs; give it a name that is")
		name = "artifact"
	}
	if n := st.n.At("with").At("retention-days"); n != nil {
		s.f.note(n, "retention-days", "artifacts are kept as long as their task: task-expires-after in config.yml")
	}
	paths := strings.Split(strings.TrimSpace(st.n.At("with").At("path").Str()), "\n")
	var words []string
	for _, p := range paths {
		p = strings.TrimSpace(p)
		if strings.HasPrefix(p, "!") {
			s.f.left(st.n, "the path "+p+" that is left out", "take the files away before, or name those to keep")
			continue
		}
		if p != "" {
			words = append(words, p)
		}
	}
	if len(words) == 0 {
		s.f.left(st.n, "upload-artifact without a path", "say what to keep")
		return
	}
	root := rootOf(words)
	s.e.artifacts = true
	do := "keep"
	if slices.ContainsFunc(uploads, func(u *upload) bool { return u.by == s.e && u.name == orText(name, "artifact") && u.taken }) {
		do = "pack"
	}
	s.helper("keep")
	if do == "pack" {
		s.helper("pack")
	}
	line := do + " " + bash.Quoted(fileName(orText(name, "artifact"))) + " " + s.word(st, root)
	for _, w := range words {
		line += " " + s.word(st, inside(root, w))
	}
	if missing, _ := st.with("if-no-files-found"); missing != "error" {
		line += ` || echo "there is nothing to keep"`
	}
	s.wrap(st, line, false)
}

// word is a path as a word of bash.
func (s *script) word(st *step, p string) string {
	t, dynamic := s.fill(st.scope, st.n.At("with"), p, false)
	t = strings.TrimSuffix(t, "/")
	if rest, ok := strings.CutPrefix(t, "~/"); ok {
		return `"$HOME/` + rest + `"`
	}
	if !dynamic && !strings.Contains(t, `\`) {
		return bash.Quoted(t)
	}
	return `"` + t + `"`
}

// rootOf is the directory that an artifact's names begin below: the least that has all paths, without what is a
// pattern.
func rootOf(paths []string) string {
	if len(paths) == 1 && !strings.ContainsAny(strings.ReplaceAll(paths[0], "${{", ""), "*?[") {
		return paths[0]
	}
	var common []string
	for i, p := range paths {
		var parts []string
		for _, part := range strings.Split(p, "/") {
			if strings.ContainsAny(part, "*?[") {
				break
			}
			parts = append(parts, part)
		}
		if len(parts) == strings.Count(p, "/")+1 {
			parts = parts[:len(parts)-1]
		}
		if i == 0 {
			common = parts
			continue
		}
		n := 0
		for n < len(common) && n < len(parts) && common[n] == parts[n] {
			n++
		}
		common = common[:n]
	}
	if len(common) == 0 {
		return "."
	}
	if len(common) == 1 && common[0] == "" {
		return "/"
	}
	return strings.Join(common, "/")
}

func inside(root, p string) string {
	if root == p {
		return "."
	}
	if root == "." {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
}

// download writes the step that puts what was fetched where the steps look for it.
func (s *script) download(st *step, uploads []*upload) {
	s.f.known(st.n.At("with"), "download-artifact", "name", "path", "pattern", "merge-multiple", "run-id", "repository", "github-token")
	name, _ := st.with("name")
	merge, _ := st.with("merge-multiple")
	to := orText(st.n.At("with").At("path").Str(), ".")
	var lines []string
	for _, u := range s.f.taken(s.e, st, uploads) {
		if u.by == s.e {
			s.f.check(st.n, "download-artifact of the job's own artifact", "the files are there already; copy them if they must be elsewhere")
			continue
		}
		dest := s.word(st, to)
		if name == "" && merge != "true" {
			dest = s.word(st, path.Join(to, u.name))
		}
		lines = append(lines, fmt.Sprintf(`mkdir -p %s && cp -R "$MOZ_FETCHES_DIR/artifacts/%s/." %s/`, dest, fileName(u.name), dest))
	}
	if len(lines) > 0 {
		s.wrap(st, strings.Join(lines, "\n"), false)
	}
}

// fetchOutputs reports whether outputs of a job are at hand.
func (s *script) fetchOutputs(name string) bool {
	for _, d := range s.e.needs {
		if slices.Contains(d.fetches, fetch{"outputs.env", "needs/" + name, false}) {
			s.outputsOf[name] = true
			return true
		}
	}
	return false
}
