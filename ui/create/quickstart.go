package create

import (
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/ui/page"
)

// quickstart looks at a repository and shows a configuration for it.
func (ps *Pages) quickstart(v *page.Visit) error {
	if ps.Starter == nil {
		return page.ErrNoPage
	}
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	repo := v.R.URL.Query().Get("repo")
	body := struct {
		Repo    string
		Names   []string
		Starter *Starter
	}{Repo: repo}
	var err error
	if body.Names, err = ps.Repositories(v.R.Context()); err != nil {
		return err
	}
	if repo != "" {
		// What it shows tells which files the repository has.
		if err := v.Allow(scope.String("localgit:fetch:" + repo)); err != nil {
			return err
		}
		s, err := ps.Starter(v.R.Context(), repo)
		if err != nil {
			return err
		}
		body.Starter = &s
	}
	return v.Show(http.StatusOK, page.View{Title: "Quickstart", Name: "quickstart", Main: "narrow", Repo: repo, Body: body}, nil)
}
