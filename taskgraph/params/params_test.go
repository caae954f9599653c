package params_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestStrictLoadNamesEveryProblem(t *testing.T) {
	_, err := params.Load("p.yml", []byte("level: 3\nshoe: 1\nfilters: [a, 1]\n"), true)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"p.yml", `level is 3, expected "1"`, "shoe is not a known parameter", "filters is [a 1]", "head_rev is missing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
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
		"a list":      {"- 1\n", "must be an object"},
		"syntax":      {"a: [\n", "p.yml: yaml: line"},
		"a twice key": {"a: 1\nb: 2\na: 3\n", "p.yml:3:"},
		"a YAML bomb": {bomb, "too large"},
		"odd key":     {"? [a]\n: 1\n", "p.yml:1:"},
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
	f.Fuzz(func(t *testing.T, src []byte) {
		if p, err := params.Load("p.yml", src, false); err == nil {
			if _, err := p.YAML(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
