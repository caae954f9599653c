package localgit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/localgit"
)

func TestStepsTellEachMoveOfABranch(t *testing.T) {
	w := newWork(t)
	a := w.commit("a", map[string]string{"a": "1"})
	b := w.commit("b", map[string]string{"b": "1"})
	c := w.commit("c", map[string]string{"c": "1"})
	w.git("reset", "-q", "--hard", b)
	d := w.commit("d", map[string]string{"d": "1"})
	bare := strings.TrimSuffix(w.dir, "my project") + "bare.git"
	w.git("clone", "-q", "--bare", w.dir, bare)

	for _, c := range []struct {
		name       string
		from, head string
		limit      int
		want       []string
	}{
		{"one commit", b, c, 10, []string{c}},
		{"two commits", a, c, 10, []string{b, c}},
		{"back, and another way", c, d, 10, []string{b, d}},
		{"no more than the limit, of which the first is wider", a, d, 2, []string{b, d}},
		{"from where the branch never was", strings.Repeat("1", 40), d, 10, []string{d}},
		{"to where it never was", a, strings.Repeat("1", 40), 10, []string{strings.Repeat("1", 40)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, w.open().Steps(t.Context(), "main", c.from, c.head, c.limit)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a repository without reflog has one step", func(t *testing.T) {
		r, err := localgit.Open(t.Context(), bare)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Steps(t.Context(), "main", a, d, 10); !cmp.Equal(got, []string{d}) {
			t.Error(got)
		}
	})
}

func TestChangesOfABranchThatWasSetBack(t *testing.T) {
	w := newWork(t)
	a := w.commit("a", map[string]string{"a": "1", "kept": "1"})
	b := w.commit("b", map[string]string{"a": "2"})
	w.git("reset", "-q", "--hard", a)
	c := w.commit("c", map[string]string{"c": "1"})
	for _, step := range []struct {
		base, head string
		want       []string
	}{{b, a, []string{"a"}}, {b, c, []string{"a", "c"}}, {a, a, []string{}}} {
		got, err := w.open().FilesChanged(t.Context(), step.base, step.head)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s to %s: %s", step.base, step.head, diff)
		}
	}
}

func TestWhereABranchLeftTheOthers(t *testing.T) {
	w := newWork(t)
	a := w.commit("a", map[string]string{"a": "1"})
	w.git("checkout", "-q", "-b", "one")
	b := w.commit("b", map[string]string{"b": "1"})
	w.git("checkout", "-q", "-b", "two")
	c := w.commit("c", map[string]string{"c": "1"})
	w.git("checkout", "-q", "--orphan", "alone")
	d := w.commit("d", map[string]string{"d": "1"})
	gone := strings.Repeat("1", 40)
	r := w.open()
	for _, x := range []struct {
		head   string
		others []string
		want   string
	}{
		{c, []string{a, b}, b}, {c, []string{a}, a}, {b, []string{c}, b}, {d, []string{a, b, c}, ""}, {c, nil, ""}, {c, []string{"--all"}, ""},
	} {
		if got := r.MergeBase(t.Context(), x.head, x.others...); got != x.want {
			t.Errorf("merge base of %s with %v is %s, want %s", x.head, x.others, got, x.want)
		}
	}
	if !r.Has(t.Context(), a) || r.Has(t.Context(), gone) || r.Has(t.Context(), "main") {
		t.Error("Has errs")
	}
}

func TestDefaultBranch(t *testing.T) {
	w := newWork(t)
	if got := w.open().DefaultBranch(t.Context()); got != "main" {
		t.Errorf("before the first commit it is %q", got)
	}
	w.commit("a", map[string]string{"a": "1"})
	w.git("checkout", "-q", "--detach")
	w.git("branch", "aardvark")
	if got := w.open().DefaultBranch(t.Context()); got != "main" {
		t.Errorf("with HEAD detached it is %q", got)
	}
	w.git("branch", "-D", "-q", "main")
	if got := w.open().DefaultBranch(t.Context()); got != "aardvark" {
		t.Errorf("with HEAD detached and no main it is %q", got)
	}
}
