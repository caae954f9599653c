package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/docs/command"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// Every block of commands in README.md and docs/ is typed, in a clone of the sample repository, against a server that
// has run the sample's first push, or with what the page says it needs; what stays until it is stopped is started and
// stopped. Or it says why it cannot be typed, and then the test of the command line reads it. What blocks of a page leave
// behind, the next ones find. Pages that bring a server of their own go side by side, when the others are done.
func TestEveryCommandOfTheDocumentation(t *testing.T) {
	m := newInstance(filepath.Join(t.TempDir(), "data"), "", 2).in(t)
	m.start()
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Error(err)
		}
	})
	names := m.placeholders()
	pages, err := command.Pages("..")
	if err != nil {
		t.Fatal(err)
	}
	ran, stayed, written, reasons := 0, 0, 0, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		blocks := command.Blocks(name, pages[name])
		if !slices.ContainsFunc(blocks, func(b command.Block) bool { return b.Language == "sh" || b.Language == "console" }) {
			continue
		}
		own := false
		for _, b := range blocks {
			switch {
			case b.File != "":
				written++
			case b.RunBy.Target != "":
				reasons["make "+b.RunBy.Target+" does"]++
			case b.NotRun != "":
				reasons[b.NotRun]++
			case b.Stays != "":
				stayed++
				fallthrough
			default:
				ran++
			}
			own = own || b.Stays != "" || len(b.With) > 0
		}
		t.Run(name, func(t *testing.T) {
			if own {
				t.Parallel()
			}
			(&reader{m: m, t: t, names: maps.Clone(names), literal: map[string]string{}}).read(name, blocks)
		})
	}
	left := 0
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%3d not run: %s", reasons[reason], reason)
		left += reasons[reason]
	}
	t.Logf("%d blocks of commands are run, %d of them stay until they are stopped; %d files are written; %d blocks say who runs them or why they cannot be run here, and are read by the test of the command line",
		ran, stayed, written, left)
	if ran < 120 {
		t.Errorf("only %d blocks are run", ran)
	}
}

// placeholders are the words that pages have for what each reader has another of.
func (m *machine) placeholders() map[string]string {
	m.t.Helper()
	first := strings.TrimSpace(sh(m.t, m.repo(), "git rev-parse HEAD"))
	list := m.resolved(first, 2*time.Minute)
	group := m.outcome(first).GroupID
	names := map[string]string{"GROUPID": group, "DECISION": group, "fN1SbArXTPSVFNUvaOlinQ": group,
		"5f2c9a1be07d41d5a4ed6bd2c4a1e97f1a2b3c4d": first, "5f2c9a1": first[:7], "http://127.0.0.1:8080": m.url(""), "https://ci.example.com": m.url(""), "https://taskcluster.example.com": m.url("")}
	for _, task := range list {
		if task.Task.Metadata.Name == "build-site" {
			names["TASKID"] = task.Status.TaskID
		}
	}
	if names["TASKID"] == "" {
		m.t.Fatal("the sample has no task build-site")
	}
	return names
}

// reader types what a page says.
type reader struct {
	m        *machine
	t        *testing.T
	names    map[string]string // what stands for words
	literal  map[string]string // and for other texts, such as directories of a machine of one's own
	dir      string            // of the page: holds its shell's variables and place
	port     int               // of the page's own server
	terminal bool              // what stays is typed in one
	seated   bool              // all is, from here on
	staying  []*staying
	github   *ghfake.Server
	byTask   bool     // the next block is typed by a task
	said     string   // by the last command
	proofs   []func() // of what the page came to, when all is typed
}

// read does all that a page says.
func (r *reader) read(page string, blocks []command.Block) {
	r.t.Helper()
	r.begin(page)
	for _, b := range blocks {
		if b.Elsewhere() {
			continue
		}
		if why := lacks(b); why != "" {
			r.t.Logf("%s:%d: not typed: %s", b.Page, b.Line, why)
			continue
		}
		for _, need := range b.With {
			r.bring(need)
		}
		if b.File != "" {
			r.write(b)
		} else {
			r.run(b)
		}
	}
	for _, proof := range r.proofs {
		proof()
	}
	for _, s := range slices.Backward(r.staying) {
		s.stop(r.t)
	}
}

// begin gives a page a clone of the sample, and the server's directory.
func (r *reader) begin(page string) {
	r.t.Helper()
	var err error
	if r.dir, err = os.MkdirTemp(home, "page-"); err != nil { // not in the test's directory: tasks run as other users
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(r.dir) })
	clone := filepath.Join(r.dir, "pebble")
	sh(r.t, r.dir, "chmod 755 .; git clone -q '"+r.m.repo()+"' pebble; git -C pebble remote rm origin; mkdir bin; ln -s '"+program+"' bin/treeline; "+
		"for top in . pebble; do ln -s '"+r.m.data+"' $top/treeline-data; done; echo treeline-data >> pebble/.git/info/exclude")
	r.program("edit", "echo 'Edited.' >> \"$1\"")
	for _, place := range ofAMachine { // a page has a machine to itself, as far as it goes without root
		r.literal[place] = filepath.Join(r.dir, place)
		if err := os.MkdirAll(r.literal[place], 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	env := r.m.env()
	env["PATH"] = filepath.Join(r.dir, "bin") + ":" + os.Getenv("PATH")
	env["HOME"], env["EDITOR"], env["NO_COLOR"], env["ROOT"] = r.dir, filepath.Join(r.dir, "bin", "edit"), "1", env["TASKCLUSTER_ROOT_URL"]
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env["GIT_"+who+"_NAME"], env["GIT_"+who+"_EMAIL"] = "Ada", "ada@example.com"
	}
	if slices.Contains([]string{"docs/operations/database.md", "docs/operations/keys.md"}, page) { // what their commands do to a database, the server's is spared
		env["DATABASE_URL"], env["TREELINE_DATA"] = pgtest.URL(r.t), r.m.data
	}
	r.keep("env", "")
	r.export(env)
	place := clone
	if page == "README.md" { // it begins where Treeline was built
		place = r.dir
	}
	if page == "docs/operations/release.md" { // which is about the project itself
		var err error
		if place, err = filepath.Abs(".."); err != nil {
			r.t.Fatal(err)
		}
	}
	r.keep("place", place)
}

func (r *reader) keep(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// write writes a block into the file that the page names.
func (r *reader) write(b command.Block) {
	r.t.Helper()
	name := r.fill(b.File)
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.place(), filepath.FromSlash(name))
	} else if name == b.File {
		return // a file of the machine, which is somebody else's here
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		r.t.Fatal(err)
	}
	how := os.O_TRUNC
	if b.Append {
		how = os.O_APPEND
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|how, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = f.WriteString(r.fill(strings.Join(b.Lines, "\n")) + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatal(err)
	}
}

var word = regexp.MustCompile(`https?://[a-z0-9.:-]+[a-z0-9]|\b[A-Za-z0-9_-]+\b`)

// fill puts what there is here for the words that stand for it.
func (r *reader) fill(text string) string {
	var pairs []string
	for _, k := range slices.SortedFunc(maps.Keys(r.literal), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) {
		pairs = append(pairs, k, r.literal[k])
	}
	return word.ReplaceAllStringFunc(strings.NewReplacer(pairs...).Replace(text), func(w string) string {
		if is, ok := r.names[w]; ok {
			return is
		}
		return w
	})
}

// run types a block. A command must succeed, unless the page shows what it says instead.
func (r *reader) run(b command.Block) {
	r.t.Helper()
	if b.Before != "" {
		if out, err := r.typed(b.Before); err != nil {
			r.t.Errorf("%s:%d: before: %s: %v\n%s", b.Page, b.Line, b.Before, err, tail(out, 1500))
		}
	}
	for _, h := range b.Here {
		out, err := r.typed(h.Script)
		if out = strings.TrimSpace(out); err != nil || out == "" {
			r.t.Fatalf("%s:%d: here: %s: %v\n%s", b.Page, b.Line, h.Script, err, out)
		}
		r.literal[h.Word] = out
	}
	if b.Stays != "" {
		r.launch(b)
		return
	}
	typed := r.typed
	if r.byTask {
		typed, r.byTask = r.published, false
	}
	for _, step := range b.Steps() {
		out, err := typed(step.Command)
		r.said = out
		printed := strings.Split(strings.TrimRight(out, "\n"), "\n")
		if len(out) == 0 {
			printed = nil
		}
		told := step.Answer != nil && b.Differs == ""
		if err != nil && !told {
			r.t.Errorf("%s:%d: %s: %v\n%s", b.Page, step.Line, step.Command, err, tail(out, 1500))
			return
		}
		var want []string
		for _, line := range step.Answer {
			want = append(want, r.fill(line))
		}
		if told && !command.Fits(want, printed) {
			r.t.Errorf("%s:%d: %s: the page shows\n%s\nand this was printed:\n%s", b.Page, step.Line, step.Command, strings.Join(want, "\n"), tail(out, 3000))
		}
	}
}

// patience is how long a block may take, and what stays may take to come up, on a busy machine.
const patience = 5 * time.Minute

// typed gives commands to the page's shell, and returns what they print.
func (r *reader) typed(commands string) (string, error) {
	script := "set -e\n. '" + r.dir + "/env'\ncd \"$(cat '" + r.dir + "/place')\"\n" + r.command(commands) +
		"\nexport -p > '" + r.dir + "/env'\npwd > '" + r.dir + "/place'\n"
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	if r.seated {
		r.keep("typed", script)
		cmd = exec.CommandContext(ctx, "script", "-qefc", "sh '"+filepath.Join(r.dir, "typed")+"'", "/dev/null")
		keyboard, err := cmd.StdinPipe() // which stays open, and silent
		if err != nil {
			return "", err
		}
		defer keyboard.Close()
	}
	cmd.Env, cmd.WaitDelay = []string{"PATH=" + os.Getenv("PATH")}, 5*time.Second
	out, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), "\r\n", "\n"), err
}

// sh runs a script in a directory and returns what it printed.
func sh(t testing.TB, dir, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}
