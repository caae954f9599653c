package actions

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// script is the command of a task as it is written.
type script struct {
	f         *flow
	e         *entry
	body      strings.Builder
	uses      map[string]bool // variables and functions that the prologue gives
	outputsOf map[string]bool // jobs whose outputs are read
	guarded   bool            // some step runs although one before it failed
	wanted    map[string]bool // steps whose outcome is
	written   bool            // the step has commands
}

func (s *script) use(name string) { s.uses[name] = true }

// command writes the entry's command, and the rest of what the task is given.
func (f *flow) command(e *entry, uploads []*upload) {
	s := &script{f: f, e: e, uses: map[string]bool{}, outputsOf: map[string]bool{}}
	before := len(f.all)
	for _, st := range e.steps {
		if g, _ := st.guard(); asks(g, "always", "failure", "cancelled") {
			s.guarded = true
		}
	}
	s.ask()
	env := s.environment()
	for _, st := range e.steps {
		s.step(st, uploads)
	}
	s.outputs()
	if s.guarded {
		s.line(`exit "$failed"`)
	}
	text := s.body.String()
	prologue := s.prologue(env + text)
	if e.command = prologue + env + text; strings.TrimSpace(e.command) == "" {
		e.command = "true\n"
	}
	if s.uses["OUTPUTS"] || s.uses["GITHUB_SHA"] || s.uses["GITHUB_REF"] || s.uses["GITHUB_BASE_SHA"] {
		e.checkout = e.checkout || s.uses["GITHUB_SHA"] || s.uses["GITHUB_REF"] || s.uses["GITHUB_BASE_SHA"]
	}
	if f.c.output += len(e.command); f.c.output > maxOutput {
		f.left(e.job.n, "the job "+e.job.id, "the scripts of all jobs are too large together")
		e.command = "false\n"
	}
	if e.worker.OS == "windows" {
		e.checkout = true
		name := "taskcluster/scripts/" + f.kind + "-" + e.name + ".sh"
		e.files = append(e.files, pair{name, "#!/usr/bin/env bash\n# What the task " + f.kind + "-" + e.name + " does.\n" + e.command})
		e.command = "bash " + name
		f.check(e.job.n.At("runs-on"), "runs on Windows", "the script is a file, "+name+", for bash (Git has one); where a step had PowerShell it calls pwsh")
	}
	e.comments = append(e.comments, f.all[before:]...)
}

func (s *script) line(format string, args ...any) { fmt.Fprintf(&s.body, format+"\n", args...) }

// environment gives the task the variables that are known, and exports the others.
func (s *script) environment() string {
	var exports strings.Builder
	sc := s.e.scope
	known := s.e.scope
	for i, b := range s.e.job.env {
		v, ok := known.Fill(b.n.Str())
		if b.n.Kind == source.Scalar && !strings.Contains(b.n.Text, "${{") {
			v, ok = expr.Text(b.n.Plain()), true
		}
		if ok {
			if i >= s.e.job.inherit || s.e.job.wf != s.f.root {
				s.e.env = append(s.e.env, pair{b.name, v})
			}
			continue
		}
		t, _ := s.fill(sc, b.n, b.n.Str(), false)
		if line := s.export(b, t); line != "" {
			exports.WriteString(line + "\n")
		}
	}
	return exports.String()
}

// export gives a variable the text, which is for the inside of double quotes; "" for a name that no shell can have.
// Expressions that ask for that one have its value if it is known, and are left otherwise.
func (s *script) export(b binding, text string) string {
	if !bash.IsName(b.name) {
		s.f.note(b.n, fmt.Sprintf("the variable %q", b.name), "a shell cannot have that name; expressions that ask for it are filled in")
		return ""
	}
	return fmt.Sprintf(`export %s="%s"`, b.name, text)
}

// step writes one step.
func (s *script) step(st *step, uploads []*upload) {
	guard, runs := st.guard()
	title := st.n.At("name").Str()
	if t, ok := st.scope.Fill(title); ok {
		title = t
	}
	at := fmt.Sprintf("%s:%d", st.n.File, st.n.Line)
	if title = oneLine(clear(title)); title == "" || strings.Contains(title, "${{") {
		title = oneLine(clear(limit(st.n.At("uses").Str(), 100)))
	}
	if title != "" {
		at = title + " (" + at + ")"
	}
	if !runs {
		s.line("# %s: does not run here: %s", at, oneLine(limit(st.n.At("if").Str(), 100)))
		return
	}
	s.f.known(st.n, "a step", "name", "id", "if", "uses", "with", "run", "shell", "working-directory", "env", "continue-on-error", "timeout-minutes")
	if guard != nil {
		if _, ok := s.test(guard); !ok {
			s.f.left(st.n.At("if"), "if: "+limit(st.n.At("if").Str(), 200), "a script cannot ask that; the step does not run")
			s.line("# %s: NOT CONVERTED: its condition", at)
			s.line(`echo %s >&2`, bash.Quoted("NOT CONVERTED: the condition of "+at))
			return
		}
	}
	s.line("# %s", at)
	if n := st.n.At("timeout-minutes"); n != nil {
		s.f.check(n, "timeout-minutes of a step", "only the whole task has a limit; put timeout "+n.Str()+"m before the command if it matters")
	}
	s.written = false
	switch {
	case st.n.At("run") != nil:
		s.run(st)
	case st.n.At("uses") != nil:
		s.action(st, uploads)
		if s.wanted[st.id] && !s.written && converts(st) {
			s.wrap(st, ":", false)
		}
	default:
		s.f.left(st.n, "a step", "it has neither run nor uses")
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

var lowCommands = regexp.MustCompile(`::(set-output|set-env|add-path|save-state)\b`)

// run writes a step's own script.
func (s *script) run(st *step) {
	n := st.n.At("run")
	chunks := s.chunks(st.scope, n, strings.TrimRight(n.Str(), "\n "))
	body := strings.TrimRight(bash.Weave(chunks), "\n ")
	if m := lowCommands.FindString(body); m != "" {
		s.f.left(n, "the workflow command "+m, "GitHub has taken it away itself: write to $GITHUB_OUTPUT, $GITHUB_ENV or $GITHUB_PATH")
	}
	shell, explicit := s.shellOf(st)
	switch shell {
	case "bash":
		s.isolate(st, body, explicit)
	default:
		if text, ok := s.interpreter(st, shell, chunks); ok {
			s.isolate(st, text, false)
		}
	}
	for _, v := range []string{"GITHUB_ENV", "GITHUB_PATH"} {
		if strings.Contains(body, v) {
			s.helper("load_" + strings.ToLower(strings.TrimPrefix(v, "GITHUB_")))
			s.line("load_%s", strings.ToLower(strings.TrimPrefix(v, "GITHUB_")))
		}
	}
}

// shellOf is a step's shell; explicit tells a bash that was asked for, which has pipefail.
func (s *script) shellOf(st *step) (shell string, explicit bool) {
	for _, n := range []*source.Node{st.n.At("shell"), s.e.job.n.At("defaults").At("run").At("shell"), s.e.job.wf.At("defaults").At("run").At("shell")} {
		if n == nil {
			continue
		}
		t, ok := st.scope.Fill(n.Str())
		if !ok {
			s.f.left(n, "a shell", "it is not known before something runs; bash is taken")
			t = "bash"
		}
		if strings.HasPrefix(t, "bash") {
			return "bash", !strings.Contains(t, "{0}") || strings.Contains(t, "pipefail")
		}
		return t, true
	}
	if s.e.worker.OS == "windows" {
		return "pwsh", false
	}
	return "bash", false
}

// interpreter has another program than bash run a script: from a file, as at GitHub.
func (s *script) interpreter(st *step, shell string, chunks []bash.Chunk) (string, bool) {
	program := map[string]string{
		"sh": "sh -e {0}", "python": "python {0}", "pwsh": "pwsh -NoProfile -File {0}", "powershell": "powershell -NoProfile -ExecutionPolicy Bypass -File {0}", "node": "node {0}",
	}[shell]
	if program == "" && strings.Contains(shell, "{0}") {
		program = shell
	}
	if program == "" {
		s.f.left(st.n.At("shell"), "the shell "+shell, "write the step for bash")
		s.line(`echo %s >&2`, bash.Quoted(fmt.Sprintf("NOT CONVERTED: %s:%d, for the shell %s", st.n.File, st.n.Line, shell)))
		return "", false
	}
	ext := map[string]string{"python": ".py", "pwsh": ".ps1", "powershell": ".ps1", "node": ".js"}[shell]
	if shell == "pwsh" || shell == "powershell" {
		chunks = append([]bash.Chunk{{Text: "$ErrorActionPreference = 'stop'\n"}}, chunks...)
	}
	body, quote := bash.Document(chunks)
	end := "STEP"
	for n := 2; strings.Contains("\n"+body+"\n", "\n"+end+"\n"); n++ {
		end = fmt.Sprintf("STEP%d", n)
	}
	s.use("RUNNER_TEMP")
	file := `"$RUNNER_TEMP/step` + ext + `"`
	return fmt.Sprintf("cat > %s <<%s\n%s\n%s\n%s", file, quote+end+quote, body, end, strings.ReplaceAll(program, "{0}", file)), true
}

// isolate writes a script with the step's own variables and directory, in a shell of its own where that is needed.
func (s *script) isolate(st *step, body string, pipefail bool) {
	var pre []string
	if pipefail && strings.Contains(body, "|") {
		pre = append(pre, "set -o pipefail")
	}
	if strings.Contains(body, "GITHUB_OUTPUT") {
		s.use("OUTPUTS")
		pre = append(pre, `export GITHUB_OUTPUT="$OUTPUTS/`+st.id+`"`)
	}
	for _, b := range st.env {
		t, _ := s.fill(b.scope, b.n, b.n.Str(), false)
		if !strings.Contains(b.n.Text, "${{") {
			t = bash.InQuotes(expr.Text(b.n.Plain()))
		}
		if line := s.export(b, t); line != "" {
			pre = append(pre, line)
		}
	}
	for _, n := range []*source.Node{st.n.At("working-directory"), s.e.job.n.At("defaults").At("run").At("working-directory"), s.e.job.wf.At("defaults").At("run").At("working-directory")} {
		if n != nil {
			t, _ := s.fill(st.scope, n, n.Str(), false)
			if t != "." && t != "./" {
				pre = append(pre, `cd "`+t+`"`)
			}
			break
		}
	}
	s.wrap(st, strings.Join(append(pre, body), "\n"), len(pre) > 0 || !bash.Plain(body))
}

// wrap writes commands so that they run when the step would, and stop the task when the step would.
func (s *script) wrap(st *step, body string, apart bool) {
	s.written = true
	guard, _ := st.guard()
	goesOn := st.n.At("continue-on-error") != nil && !st.n.At("continue-on-error").Is("false")
	if n := st.n.At("continue-on-error"); goesOn && !n.Is("true") {
		s.f.check(n, "continue-on-error is an expression", "the step counts as if it were true")
	}
	test := ""
	if guard != nil {
		test, _ = s.test(guard)
	}
	switch {
	case s.guarded:
		if guard == nil {
			test = "[[ $failed == 0 ]]"
		} else if !asks(guard, "always", "failure", "cancelled", "success") {
			test = "[[ $failed == 0 ]] && " + test
		}
		keep := `; code=$?; [[ $code == 0 ]] || failed=$code`
		if goesOn {
			keep = ""
		}
		if s.wanted[st.id] {
			keep = s.ended(st, goesOn) + strings.TrimPrefix(keep, "; code=$?")
		}
		if test == "true" {
			s.line("(\nset -e\n%s\n)%s", body, keep)
		} else {
			s.line("if %s; then (\nset -e\n%s\n)%s; fi", test, body, keep)
		}
	case goesOn:
		text := fmt.Sprintf("set +e\n(\nset -e\n%s\n)\nset -e", body)
		if test != "" {
			text = fmt.Sprintf("if %s; then\n%s\nfi", test, text)
		}
		s.line("%s", text)
	case test != "":
		s.line("if %s; then (\n%s\n) fi", test, body)
	case apart:
		s.line("(\n%s\n)", body)
	default:
		s.line("%s", body)
	}
}

// outputs keeps what other jobs read.
func (s *script) outputs() {
	n := s.e.job.n.At("outputs")
	if n.Empty() {
		return
	}
	if !s.e.job.outputs {
		return // nobody reads them
	}
	s.e.artifacts = true
	var lines []string
	for _, name := range n.Keys {
		t, _ := s.fill(s.e.scope, n.At(name), n.At(name).Str(), false)
		lines = append(lines, fmt.Sprintf(`give %s "%s"`, bash.Quoted(name), t))
	}
	s.helper("give")
	s.line("# What the tasks behind this one read.\n{\n%s\n} > \"$UPLOAD_DIR/outputs.env\"", strings.Join(lines, "\n"))
}

// secret has a secret read when the task runs.
func (s *script) secret(name string) string {
	full := "project/" + s.f.c.project.TrustDomain() + "/" + strings.ToLower(name)
	known := s.f.c.secrets[full]
	if known == nil {
		known = &Secret{Name: full, Scope: "secrets:get:" + full}
		s.f.c.secrets[full] = known
	}
	label := s.f.kind + "-" + s.e.name
	if !slices.Contains(known.Tasks, label) {
		known.Tasks = append(known.Tasks, label)
	}
	if !slices.Contains(s.e.scopes, known.Scope) {
		s.e.scopes = append(s.e.scopes, known.Scope)
	}
	s.e.proxy = true
	s.helper("secret")
	return "$(secret " + strings.ToLower(name) + ")"
}

func (s *script) helper(name string) { s.use(name) }

// summaryFile is what the task's page shows, as a script names it.
func (e *entry) summaryFile() string {
	if e.image != "" {
		return "/builds/worker/summary.md"
	}
	return "$TASK_WORKDIR/summary.md"
}

// directory is where the task's artifacts are.
func (e *entry) directory() string {
	if e.image != "" {
		return "/builds/worker/artifacts"
	}
	return "artifacts"
}

func clean(p string) string { return path.Clean(strings.TrimPrefix(p, "./")) }
