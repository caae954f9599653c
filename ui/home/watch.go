package home

import (
	"slices"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/page"
)

const maxWatched = 50 // repositories; a browser keeps about as many names

// watched are the repositories that the visitor watches: as they chose on whatever browser, or as this browser has it for
// who has not signed in.
func (ps *Pages) watched(v *page.Visit) ([]string, error) {
	here := v.Settings()
	if v.Session.ClientID == "" || ps.Settings == nil {
		return here.Watched, nil
	}
	c, known, err := ps.Settings.Of(v.R.Context(), v.Session)
	if err != nil || !known {
		return here.Watched, err
	}
	if !slices.Equal(c.Watched, here.Watched) { // another browser knows better: menus here follow
		here.Watched = c.Watched
		if err := v.KeepSettings(here); err != nil {
			return nil, err
		}
	}
	return c.Watched, nil
}

// watch begins to watch a repository, or stops.
func (ps *Pages) watch(v *page.Visit) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	form := v.R.PostForm
	name, on := form.Get("repo"), form.Get("on") == "1"
	list, err := ps.watched(v)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
	if on {
		repos, err := ps.Push.Repositories(v.R.Context())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(repos, func(r push.Repository) bool { return r.Name == name }) {
			return fault.New(fault.NotFound, "There is no repository %.60q here.", name)
		}
		if list = append(list, name); len(list) > maxWatched {
			return fault.New(fault.Invalid, "At most %d repositories can be watched: stop watching one first.", maxWatched)
		}
		slices.Sort(list)
	}
	here := v.Settings()
	here.Watched = list
	if err := v.KeepSettings(here); err != nil {
		return err
	}
	if v.Session.ClientID != "" && ps.Settings != nil {
		c, _, err := ps.Settings.Of(v.R.Context(), v.Session)
		if err != nil {
			return err
		}
		c.Watched = list
		if err := ps.Settings.Keep(v.R.Context(), v.Session, c); err != nil {
			return err
		}
	}
	return v.Redirect(page.LocalPath(form.Get("next")))
}
