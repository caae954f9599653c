package access

import (
	"context"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/session"
)

// settings keeps what somebody chose, for this browser and all others they sign in with.
func (ps *Pages) settings(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return err
	}
	if !v.SignedIn() {
		return nil
	}
	f := v.R.PostForm
	c := home.Choices{Theme: f.Get("theme"), Zone: f.Get("zone"), Keys: strings.Fields(f.Get("keys")), Emails: strings.Fields(f.Get("emails")), Notify: f.Get("notify") != ""}
	if f.Get("keysOff") != "" {
		c.Keys = []string{"*"}
	}
	old, known, err := ps.Settings.Of(v.R.Context(), v.Session)
	if err != nil {
		return err
	}
	if c.Watched = old.Watched; !known {
		c.Watched = v.Settings().Watched // chosen before they signed in
	}
	if err := ps.Settings.Keep(v.R.Context(), v.Session, c); err != nil {
		return err
	}
	if err := apply(v, c); err != nil {
		return err
	}
	return v.Redirect("/profile#settings")
}

// apply has the browser keep what pages need before they know who asks.
func apply(v *page.Visit, c home.Choices) error {
	v.KeepTheme(c.Theme)
	return v.KeepSettings(page.Settings{Zone: c.Zone, Keys: append([]string{}, c.Keys...), Watched: c.Watched})
}

// bring gives a browser that somebody has just signed in with what they chose on another one.
func (ps *Pages) bring(ctx context.Context, v *page.Visit, who login.Holder) error {
	if ps.Settings == nil {
		return nil
	}
	c, known, err := ps.Settings.Of(ctx, session.Session{ClientID: who.ClientID, Holder: who})
	if err != nil || !known {
		return err
	}
	if err := apply(v, c); fault.KindOf(err) != fault.Invalid {
		return err
	}
	return nil
}
