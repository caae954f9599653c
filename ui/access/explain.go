package access

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/ui/page"
)

// answerView is whether somebody has a scope, and why.
type answerView struct {
	Scope string
	Has   bool
	Path  []stepView
	// Of a scope that is not there: the held scope most like it, and the roles that would give it.
	Like    string
	Nearest []nearest
}

type stepView struct {
	Scope, Role, With, Href string
	Star                    bool // it gives more than was asked for
}

// nearest is a role that gives a scope, with how many others.
type nearest struct {
	Grant, Href string
	Others      int
	Exact       bool // the scope itself
}

// explainView is the page that explains a client's scopes.
type explainView struct {
	Client, Text string
	Answers      []answerView
	Missing      string // the shortest of those that are missing
	Asked, All   bool
}

// explain tells by which grants a client, or who asks, has a scope, or which grant would be nearest to give it.
func (ps *Pages) explain(v *page.Visit) error {
	x := explainView{Client: strings.TrimSpace(v.R.FormValue("client")), Text: strings.TrimSpace(v.R.FormValue("scope"))}
	wanted, err := asked(x.Text)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		if x.Client == "" {
			x.Client = v.Session.ClientID
		}
		return v.Show(http.StatusOK, page.View{Title: "Explain a scope", Name: "explain", Main: "narrow", Body: x}, nil)
	}
	x.Asked = true
	if err := v.Allow(scope.String("auth:list-roles")); err != nil {
		return err
	}
	var held []string
	switch x.Client {
	case "", v.Session.ClientID:
		x.Client = v.Session.ClientID
		held = v.Session.Scopes
		if c, err := ps.Auth.Client(v.R.Context(), x.Client); err == nil {
			held = append([]string{expand.Assume + auth.Anonymous}, c.Scopes...) // shorter to follow
		}
	default:
		if err := v.Allow(scope.String("auth:get-client:" + x.Client)); err != nil {
			return err
		}
		c, err := ps.Auth.Client(v.R.Context(), x.Client)
		if err != nil {
			return err
		}
		held = append([]string{expand.Assume + auth.Anonymous}, c.Scopes...)
	}
	roles, err := ps.Auth.Roles(v.R.Context(), "", 0)
	if err != nil {
		return err
	}
	x.Answers, x.Missing = Explain(roles, held, wanted)
	x.All = x.Missing == ""
	return v.Show(http.StatusOK, page.View{Title: "Explain a scope", Name: "explain", Main: "narrow", Body: x}, nil)
}

// Explain answers, for each scope wanted, by which grants it is held. missing is the shortest of those that are not; ""
// when all are.
func Explain(roles []auth.Role, held, wanted []string) (answers []answerView, missing string) {
	list := make([]expand.Role, len(roles))
	for i, r := range roles {
		list[i] = expand.Role{ID: r.ID, Scopes: r.Scopes}
	}
	resolver := expand.New(list)
	for _, want := range wanted {
		a := answerView{Scope: want}
		for _, s := range resolver.Path(held, want) {
			view := stepView{Scope: s.Scope, Role: s.Role, With: s.With, Star: strings.HasSuffix(s.Scope, "*") && s.Scope != want}
			if s.Role != "" {
				view.Href = pathOf("role", s.Role)
			}
			a.Path = append(a.Path, view)
		}
		if a.Has = len(a.Path) > 0; !a.Has {
			if missing == "" || len(want) < len(missing) {
				missing = want
			}
			a.Like = mostLike(resolver, held, want)
			a.Nearest = nearestGrants(roles, want)
		}
		answers = append(answers, a)
	}
	return answers, missing
}

// mostLike is the held scope with the longest common beginning, if that is more than its first word.
func mostLike(r *expand.Resolver, held []string, want string) string {
	all, err := r.Expand(held)
	if err != nil {
		return ""
	}
	best, length := "", strings.IndexByte(want, ':')+1
	for _, s := range all {
		n := 0
		for n < len(s) && n < len(want) && s[n] == want[n] {
			n++
		}
		if n > length {
			best, length = s, n
		}
	}
	return best
}

// nearestGrants are the scope itself and the roles that give it, the ones that give least besides first.
func nearestGrants(roles []auth.Role, want string) []nearest {
	out := []nearest{{Grant: want, Exact: true}}
	for _, r := range roles {
		if _, ok := giver(r.Expanded, want); ok {
			out = append(out, nearest{Grant: expand.Assume + r.ID, Href: pathOf("role", r.ID), Others: len(r.Expanded) - 1})
		}
	}
	slices.SortStableFunc(out, func(a, b nearest) int {
		return cmp.Or(cmp.Compare(a.Others, b.Others), cmp.Compare(len(a.Grant), len(b.Grant)))
	})
	return out[:min(len(out), 6)]
}
