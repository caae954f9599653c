package ghclient_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
)

const ownBranch = "treeline/starter"

func proposal() ghclient.Proposal {
	return ghclient.Proposal{
		Base: "main", Branch: ownBranch, Title: "Begin", Body: "Words.", Files: map[string]string{".taskcluster.yml": "version: 1\n", "taskcluster/config.yml": "a: b\n"},
	}
}

// writes is a world whose App may write.
func writes(t *testing.T) (*world, string) {
	t.Helper()
	w := start(t)
	w.app.Permissions["contents"] = "write"
	return w, w.push(t, "main", map[string]string{"README.md": "hello\n", "bin/run": "#!/bin/sh\n"})
}

// stands is how the branch of the proposal stands: its files, by the newest commits.
func (w *world) stands(t *testing.T) (files []string, authors string) {
	t.Helper()
	files, err := w.repo.Files(ownBranch)
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.repo.Log(ownBranch, 1)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return files, list[0].Name
}

func TestAProposalBecomesAPullRequest(t *testing.T) {
	w, before := writes(t)
	want := []string{".taskcluster.yml", "README.md", "bin/run", "taskcluster/config.yml"}
	made, err := w.forge.Propose(t.Context(), proposal())
	if err != nil || made.Before || made.URL != w.server.URL()+"/acme/app/pull/1" {
		t.Fatalf("%+v %v", made, err)
	}
	p, view := w.repo.Pull(made.Number)
	if view.Author != "treeline[bot]" || view.Base != "main" || view.Branch != ownBranch || view.Title != "Begin" || p.Body() != "Words." || !view.CanBeMerged {
		t.Errorf("%+v %s", view, p.Body())
	}
	files, author := w.stands(t)
	if diff := cmp.Diff(want, files); diff != "" || author != "treeline[bot]" || w.repo.Head("main") != before {
		t.Errorf("by %s, main at %s\n%s", author, w.repo.Head("main"), diff)
	}
	t.Run("once more it is the same", func(t *testing.T) {
		again, err := w.forge.Propose(t.Context(), proposal())
		if err != nil || !again.Before || again.Number != made.Number || len(w.repo.Pulls()) != 1 {
			t.Errorf("%+v %v", again, err)
		}
	})
	t.Run("after it was closed its branch is used again, on what the base is now", func(t *testing.T) {
		p.Close("ada")
		was := w.repo.Head(ownBranch)
		w.push(t, "main", map[string]string{"newer": "1"})
		again, err := w.forge.Propose(t.Context(), proposal())
		if err != nil || again.Before || again.Number == made.Number {
			t.Fatalf("%+v %v", again, err)
		}
		list, err := w.repo.Log(ownBranch, 1)
		if err != nil || list[0].Parents != was+" "+w.repo.Head("main") {
			t.Errorf("%+v %v", list, err)
		}
		if files, _ := w.stands(t); cmp.Diff(append([]string{".taskcluster.yml", "README.md", "bin/run", "newer"}, "taskcluster/config.yml"), files) != "" {
			t.Error(files)
		}
		made = again
	})
	t.Run("when it is merged there is nothing to propose", func(t *testing.T) {
		p, _ := w.repo.Pull(made.Number)
		if _, err := p.Merge("ada"); err != nil {
			t.Fatal(err)
		}
		_, err := w.forge.Propose(t.Context(), proposal())
		if !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "has .taskcluster.yml and taskcluster/config.yml already") {
			t.Error(err)
		}
	})
}

func TestAProposalLeavesWhatIsOthers(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, w *world)
		want    string
	}{
		"commits of somebody else on the branch": {func(t *testing.T, w *world) { w.push(t, ownBranch, map[string]string{"mine": "1"}) }, "somebody else"},
		"somebody's commit on top of ours": {func(t *testing.T, w *world) {
			made, err := w.forge.Propose(t.Context(), proposal())
			if err != nil {
				t.Fatal(err)
			}
			p, _ := w.repo.Pull(made.Number)
			p.Close("ada")
			w.push(t, ownBranch, map[string]string{"mine": "1"})
		}, "somebody else"},
		"a file that is there": {func(t *testing.T, w *world) { w.push(t, "main", map[string]string{"taskcluster/config.yml": "mine\n"}) }, "has taskcluster/config.yml already"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := writes(t)
			c.prepare(t, w)
			at, main, pulls := w.repo.Head(ownBranch), w.repo.Head("main"), len(w.repo.Pulls())
			_, err := w.forge.Propose(t.Context(), proposal())
			if !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), c.want) {
				t.Error(err)
			}
			if w.repo.Head(ownBranch) != at || w.repo.Head("main") != main || len(w.repo.Pulls()) != pulls {
				t.Error("something was changed")
			}
		})
	}
	t.Run("a branch that the base has is used", func(t *testing.T) {
		w, head := writes(t)
		if _, err := w.repo.Push("ada", ownBranch); err != nil || w.repo.Head(ownBranch) != head {
			t.Fatal(err)
		}
		w.push(t, "main", map[string]string{"newer": "1"})
		if made, err := w.forge.Propose(t.Context(), proposal()); err != nil || made.Number != 1 {
			t.Errorf("%+v %v", made, err)
		}
	})
}

func TestAProposalSaysWhyItCannotBeMade(t *testing.T) {
	t.Run("contents may only be read", func(t *testing.T) {
		w := start(t)
		w.push(t, "main", map[string]string{"a": "1"})
		if _, err := w.forge.Propose(t.Context(), proposal()); ghclient.Status(err) != 403 || ghclient.Said(err) != "Resource not accessible by integration" {
			t.Error(err)
		}
	})
	t.Run("an empty repository", func(t *testing.T) {
		w := start(t)
		w.app.Permissions["contents"] = "write"
		if _, err := w.forge.Propose(t.Context(), proposal()); !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "no commit yet") {
			t.Error(err)
		}
	})
	t.Run("an archived one", func(t *testing.T) {
		w, _ := writes(t)
		w.repo.Archive()
		if _, err := w.forge.Propose(t.Context(), proposal()); ghclient.Status(err) != 403 || !strings.Contains(ghclient.Said(err), "archived") {
			t.Error(err)
		}
	})
	t.Run("a branch in the way of the folder", func(t *testing.T) {
		w, _ := writes(t)
		w.push(t, "treeline", map[string]string{"x": "1"})
		if _, err := w.forge.Propose(t.Context(), proposal()); ghclient.Status(err) != 422 || ghclient.Said(err) != "Reference update failed" {
			t.Error(err)
		}
	})
}

// Answers that are lost and people at the same time make one pull request.
func TestAProposalIsMadeOnce(t *testing.T) {
	w, _ := writes(t)
	if _, err := w.forge.Heads(t.Context()); err != nil { // takes a token
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if made, err := w.forge.Propose(t.Context(), proposal()); err != nil && ghclient.Status(err) != 422 {
				t.Errorf("%+v %v", made, err)
			}
		})
	}
	wait.Wait()
	if _, err := w.forge.Propose(t.Context(), proposal()); err != nil || len(w.repo.Pulls()) != 1 {
		t.Errorf("%v %+v", err, w.repo.Pulls())
	}
	if files, author := w.stands(t); len(files) != 4 || author != "treeline[bot]" {
		t.Error(files, author)
	}
}
