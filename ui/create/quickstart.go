package create

import (
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// start is the page of a first configuration.
type start struct {
	Repo    string
	Names   []string
	Starter *Starter
	Files   []shownFile
	Way     *Way   // nil: no pull request can be opened
	May     string // why the visitor may not ask for one; "" when they may
	CSRF    string
	Made    *Proposed
	Problem string
}

// shownFile is a file, with the address of the forge's own form for it.
type shownFile struct {
	File
	NewFile string
}

// quickstart looks at a repository and shows a configuration for it.
func (ps *Pages) quickstart(v *page.Visit) error {
	if ps.Starter == nil {
		return page.ErrNoPage
	}
	w, err := ps.look(v, v.R.URL.Query().Get("repo"))
	if err != nil {
		return err
	}
	return ps.showStart(v, http.StatusOK, w)
}

// look looks at a repository; "" for none.
func (ps *Pages) look(v *page.Visit, repo string) (start, error) {
	w, ctx := start{Repo: repo, CSRF: v.Session.CSRF()}, v.R.Context()
	if err := v.Allow(page.SeePushes); err != nil {
		return w, err
	}
	var err error
	if w.Names, err = ps.Repositories(ctx); err != nil || repo == "" {
		return w, err
	}
	// What it shows tells which files the repository has.
	if err := v.Allow(scope.String("localgit:fetch:" + repo)); err != nil {
		return w, err
	}
	s, err := ps.Starter(ctx, repo)
	if err != nil {
		return w, err
	}
	w.Starter = &s
	for _, f := range s.Files {
		w.Files = append(w.Files, shownFile{f, newFile(&s, f)})
	}
	if ps.Proposals != nil {
		if w.Way, err = ps.Proposals.Way(ctx, repo); err != nil {
			return w, err
		}
	}
	if w.Way != nil {
		if err := v.Allow(scope.String(w.Way.Scope)); err != nil {
			w.May = fault.Message(err)
		}
	}
	return w, nil
}

func (ps *Pages) showStart(v *page.Visit, status int, w start) error {
	return v.Show(status, page.View{Title: "Quickstart", Name: "quickstart", Main: "narrow", Repo: w.Repo, Body: w}, nil)
}
