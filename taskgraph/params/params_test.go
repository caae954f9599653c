package params_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/params"
)

func decision() params.Decision {
	return params.Decision{
		BaseRepository: "https://example.org/r", HeadRepository: "https://example.org/r",
		HeadRef: "refs/heads/main", HeadRev: strings.Repeat("1", 40), Project: "r", Owner: "dev", Level: "3",
		PushlogID: "7", RepositoryType: "git", TasksFor: "git-push", FilesChanged: []string{"a", "b"},
		Now: time.Unix(1767225600, 0),
	}
}

func TestForDecisionFillsInWhatTheEventLeavesOpen(t *testing.T) {
	p, err := params.ForDecision(decision())
	if err != nil {
		t.Fatal(err)
	}
	got := []any{p.String("owner"), p.Int("build_date"), p.String("moz_build_date"), p.Int("pushdate"), p.String("target_tasks_method"), p.Strings("files_changed"), p.Strict()}
	want := []any{"dev@noreply.mozilla.org", int64(1767225600), "20260101000000", int64(0), "default", []string{"a", "b"}, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d := decision()
	d.CommitMessage = "docs only, DONTBUILD"
	if p, err = params.ForDecision(d); err != nil || p.String("target_tasks_method") != "nothing" {
		t.Errorf("DONTBUILD selects %q, %v", p.String("target_tasks_method"), err)
	}
	d.TasksFor = "cron"
	if p, err = params.ForDecision(d); err != nil || p.String("target_tasks_method") != "default" {
		t.Errorf("DONTBUILD in cron selects %q, %v", p.String("target_tasks_method"), err)
	}
}

func TestYAMLRoundTripKeepsEveryValue(t *testing.T) {
	p, err := params.ForDecision(decision())
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(text)
	z.Close()
	for _, src := range [][]byte{text, packed.Bytes()} {
		again, err := params.Load("parameters.yml", src, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Map(), again.Map()); diff != "" {
			t.Error(diff)
		}
		if p.ID() != again.ID() || len(p.ID()) != 12 {
			t.Errorf("ids %q and %q", p.ID(), again.ID())
		}
	}
}

func TestStrictLoadNamesEveryProblemWithItsLine(t *testing.T) {
	_, err := params.Load("p.yml", []byte("level: 3\nshoe: 1\nfilters: [a, 1]\nhead-rev: x\n"), true)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		`p.yml:1: level is 3, expected "1"`, "p.yml:2: shoe is not a known parameter", "p.yml:3: filters is [a 1]", "p.yml: head_rev is missing",
		`p.yml:4: head-rev is not a known parameter; is "head_rev" meant?`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
	}
	_, err = params.FromMap(map[string]any{"level": int64(3)}, false)
	if err == nil || err.Error() != `parameters: level is 3, expected "1", "2" or "3" (a string: quote it)` {
		t.Error(err)
	}
}

func TestLooseLoadFillsGapsAndKeepsExtraKeys(t *testing.T) {
	p, err := params.Load("p.yml", []byte("project: x\nshoe: {size: 44}\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	if p.String("project") != "x" || p.String("level") != "3" || p.Get("shoe") == nil || !p.AlwaysTarget("any") {
		t.Errorf("%v", p.Map())
	}
	p, err = p.With("enable_always_target", []string{"docker-image"})
	if err != nil || p.AlwaysTarget("any") || !p.AlwaysTarget("docker-image") {
		t.Errorf("a list of kinds is not honoured: %v", err)
	}
}

func TestBadFilesAreRefusedWithTheirLine(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+prev+", ", 10), ", ") + "]\n"
	}
	for name, c := range map[string]struct{ src, want string }{
		"a list":              {"- 1\n", "p.yml:1: parameters must be an object"},
		"syntax":              {"a: [\n", "p.yml:1: is not valid YAML"},
		"a twice key":         {"a: 1\nb: 2\na: 3\n", `p.yml:3: the key "a" is given twice; leave one out`},
		"a YAML bomb":         {bomb, "the limit is 8000000"},
		"odd key":             {"? [a]\n: 1\n", "p.yml:1:"},
		"two documents":       {"a: 1\n---\nb: 1\n", "p.yml:2: holds a second document"},
		"no number":           {"own: .nan\n", "p.yml: holds a number that is infinite or none"},
		"broken gzip":         {"\x1f\x8bxx", "p.yml: gzip: "},
		"deep":                {"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "is nested deeper than 100 levels"},
		"JSON with a comma":   {`{"level": "3",, }`, "p.yml: is not valid YAML"},
		"JSON that goes on":   {`{"level": "3"} {}`, "p.yml: is not valid YAML"},
		"JSON of a bad value": {`{"level": 3}`, "p.yml:1: level is 3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := params.Load("p.yml", []byte(c.src), false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("a: 1\n"))
	f.Add([]byte("level: '3'\nfiles_changed: [a]\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte(`{"files_changed": ["\ud83d\ude00", "0b1", "1:30", "2020-01-01", "<<", "="], "own": {"y": [1.5, -0, null]}}`))
	f.Add([]byte("a: &x {b: 010, c: 1_0}\nd: *x\n<<: *x\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := params.Load("p.yml", src, false)
		if err != nil {
			return
		}
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := params.Load("p.yml", text, false)
		if err != nil {
			t.Fatalf("cannot be read back: %v\n%s", err, text)
		}
		if diff := cmp.Diff(p.Map(), again.Map()); diff != "" {
			t.Fatalf("reads back otherwise: %s", diff)
		}
	})
}

// What an event says ends up in parameters, or in an error that names the parameter: nothing else.
func FuzzForDecision(f *testing.F) {
	f.Add("git", "3", "dev", "refs/heads/main", "message DONTBUILD", "git-push", int64(0), "a\nb")
	f.Add("hg", "1", "a@b", "", "", "cron", int64(1<<40), "\xff")
	f.Add("svn", "9", "", "\x00", "\u2028", "", int64(-1), "")
	f.Fuzz(func(t *testing.T, repository, level, owner, ref, message, tasksFor string, pushdate int64, files string) {
		d := decision()
		d.RepositoryType, d.Level, d.Owner, d.HeadRef, d.CommitMessage, d.TasksFor, d.Pushdate = repository, level, owner, ref, message, tasksFor, pushdate
		d.FilesChanged = strings.Split(files, "\n")
		p, err := params.ForDecision(d)
		if err != nil {
			if !strings.Contains(err.Error(), "level") && !strings.Contains(err.Error(), "repository_type") {
				t.Fatal(err)
			}
			return
		}
		src, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := params.Load("parameters.yml", src, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Map(), again.Map()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Every text stays text in parameters.yml, whatever it looks like.
func TestAnyTextSurvivesTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.StringMatching(`[-+.~<=0-9a-fxo_:eEyn]{0,12}`), rapid.SampledFrom(
			[]string{"yes", "No", "on", "~", "null", "0o17", "017", "1e5", "12e34", ".5", "0b11", "1_000", "1:30", "2026-01-02", "2026-01-02T03:04:05Z", "=", "<<", "# a", "a: b", " a ", "\t", "\u0085", "\u2028", "\ufeff", "\x00", "!x", "&a", "*a", "- a", "?"})),
		).Draw(t, "texts")
		p, err := params.FromMap(map[string]any{"files_changed": texts, "head_rev": strings.Join(texts, "")}, false)
		if err != nil {
			t.Fatal(err)
		}
		src, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := params.Load("p.yml", src, false)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if diff := cmp.Diff(p.Map(), again.Map()); diff != "" {
			t.Fatalf("%s\n%s", diff, src)
		}
	})
}

func TestParametersOfTheTreesOwn(t *testing.T) {
	own, err := params.ReadOwn(map[string]any{
		"phase":    map[string]any{"type": "string"},
		"channels": map[string]any{"type": "strings", "default": []any{"beta"}},
		"note":     map[string]any{"optional": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := decision()
	d.Own = own
	p, err := params.ForDecision(d)
	if err != nil {
		t.Fatal(err)
	}
	if v, has := p.Lookup("phase"); v != nil || !has {
		t.Errorf("phase is %v, %v", v, has)
	}
	if _, has := p.Lookup("note"); has {
		t.Error("what is optional is there")
	}
	if p, err = p.With("channels", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, p.Strings("channels")); diff != "" {
		t.Error(diff)
	}
	if _, err = p.With("channels", "beta"); err == nil || !strings.Contains(err.Error(), `channels is "beta", expected a list of strings`) {
		t.Error(err)
	}
	if _, err = p.With("phas", "x"); err == nil || !strings.Contains(err.Error(), `phas is not a known parameter; is "phase" meant?`) {
		t.Error(err)
	}
	loose, err := params.New(map[string]any{"chanels": "x"}, params.Options{Own: own, Defaults: params.Defaults(params.Facts{HeadRev: "1"})})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`chanels; is "channels" meant?`}, loose.Unknown()); diff != "" || loose.String("head_rev") != "1" || len(loose.Strings("channels")) != 1 {
		t.Error(diff, loose.Map())
	}
}

func TestBadDeclarationsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rule any
		want string
	}{
		"level": {map[string]any{}, "is one of the core parameters"},
		"text":  {"string", `is declared by "string"; expected {type, default, optional}`},
		"type":  {map[string]any{"type": "str"}, `type is "str"; type is one of`},
		"key":   {map[string]any{"defualt": 1}, `the key "defualt" is not known`},
		"value": {map[string]any{"type": "integer", "default": "1"}, `its default is "1", expected an integer`},
		"maybe": {map[string]any{"optional": "yes"}, `optional is "yes"`},
	} {
		if _, err := params.ReadOwn(map[string]any{name: c.rule}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", name, err, c.want)
		}
	}
}
