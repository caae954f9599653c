package access

import (
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// holder is a client or a role that has a scope.
type holder struct {
	ID, Href string
	By       string // the scope that gives it
	Direct   bool   // listed by itself, not come by through roles
}

// holdersView is who has a scope.
type holdersView struct {
	Scope     string
	Lists     []holders
	NoClients bool // the visitor may not list them
}

type holders struct {
	Name string
	List []holder
}

// holders lists the roles and clients that have a scope.
func (ps *Pages) holders(v *page.Visit) error {
	if err := v.Allow(scope.String("auth:list-roles")); err != nil {
		return err
	}
	h := holdersView{Scope: strings.TrimSpace(v.R.FormValue("has")), NoClients: !v.Have.Has("auth:list-clients")}
	if h.Scope == "" {
		return v.Show(http.StatusOK, page.View{Title: "Scopes", Name: "scopes", Body: h}, nil)
	}
	roles, err := ps.Auth.Roles(v.R.Context(), "", 0)
	if err != nil {
		return err
	}
	byClients, byRoles := holders{Name: "Clients"}, holders{Name: "Roles"}
	for _, r := range roles {
		if by, ok := giver(r.Expanded, h.Scope); ok {
			byRoles.List = append(byRoles.List, holder{r.ID, pathOf("role", r.ID), by, slices.Contains(r.Scopes, by)})
		}
	}
	if !h.NoClients {
		err = ps.eachClient(v, func(c auth.Client) {
			if by, ok := giver(c.Expanded, h.Scope); ok {
				byClients.List = append(byClients.List, holder{c.ID, pathOf("client", c.ID), by, slices.Contains(c.Scopes, by)})
			}
		})
		if err != nil {
			return err
		}
	}
	h.Lists = []holders{byClients, byRoles}
	return v.Show(http.StatusOK, page.View{Title: "Who has " + h.Scope, Name: "scopes", Body: h}, nil)
}

// giver returns the scope of a list that gives want.
func giver(have []string, want string) (string, bool) {
	i := slices.IndexFunc(have, func(s string) bool { return expand.Covers(s, want) })
	if i < 0 {
		return "", false
	}
	return have[i], true
}

// maxAsked bounds how many scopes a page is asked about.
const maxAsked = 20_000

// asked reads the scopes of a field: with spaces, commas or line ends between.
func asked(text string) ([]string, error) {
	list := strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' || c == ' ' || c == ',' || c == '\t' })
	if len(list) > maxAsked {
		return nil, fault.New(fault.TooLarge, "These are %d scopes; at most %d can be asked about at once.", len(list), maxAsked)
	}
	return list, nil
}

// branch is a scope with what it gives through roles.
type branch struct {
	Scope  string
	Grants []grantView
	Known  bool // shown above already
}

type grantView struct {
	Role, With, Href string
	Branches         []branch
}

// expansionView is what scopes come to.
type expansionView struct {
	Text     string
	Tree     []branch
	Expanded []string
	Cut      bool // the tree is not shown whole
}

// maxBranches bounds the tree of an expansion.
const maxBranches = 3000

// expansions shows what scopes come to, and by which role.
func (ps *Pages) expansions(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	if err := v.Allow(scope.AllOf(scope.String("auth:expand-scopes"), scope.String("auth:list-roles"))); err != nil {
		return err
	}
	list, err := asked(strings.Join(formValues(v, "scopes"), "\n"))
	if err != nil {
		return err
	}
	e := expansionView{Text: strings.Join(list, "\n")}
	if len(list) > 0 {
		r, err := ps.resolver(v)
		if err != nil {
			return err
		}
		if e.Expanded, err = r.Expand(list); err != nil {
			return err
		}
		t := tree{resolver: r, seen: map[string]bool{}, left: maxBranches}
		e.Tree = t.of(scope.Normalize(list))
		e.Cut = t.left <= 0
	}
	return v.Show(http.StatusOK, page.View{Title: "What scopes come to", Name: "expansions", Body: e}, nil)
}

// formValues are the values of a field in the address or the form.
func formValues(v *page.Visit, name string) []string {
	_ = v.R.FormValue(name) // reads both
	return v.R.Form[name]
}

func (ps *Pages) resolver(v *page.Visit) (*expand.Resolver, error) {
	roles, err := ps.Auth.Roles(v.R.Context(), "", 0)
	if err != nil {
		return nil, err
	}
	list := make([]expand.Role, len(roles))
	for i, r := range roles {
		list[i] = expand.Role{ID: r.ID, Scopes: r.Scopes}
	}
	return expand.New(list), nil
}

// tree grows branches, each scope once.
type tree struct {
	resolver *expand.Resolver
	seen     map[string]bool
	left     int
}

func (t *tree) of(scopes []string) []branch {
	var out []branch
	for _, s := range scopes {
		if t.left--; t.left < 0 {
			break
		}
		b := branch{Scope: s, Known: t.seen[s]}
		if !b.Known {
			t.seen[s] = true
			for _, g := range t.resolver.Grants(s) {
				b.Grants = append(b.Grants, grantView{g.Role, g.With, pathOf("role", g.Role), t.of(g.Scopes)})
			}
		}
		out = append(out, b)
	}
	return out
}

// pair is a scope in a comparison of two sets.
type pair struct {
	Scope string
	State string // both, covered, missing
	By    string // the other side's scope that covers it
}

type side struct {
	Name string
	List []pair
}

// comparison is two sets side by side.
type comparison struct {
	A, B         string // as they were asked
	Sides        []side
	Same         int
	LeftMissing  int // scopes of the left that the right has not
	RightMissing int
	Asked        bool
}

// compare holds two sets of scopes against each other. They are taken as they are, or with what they come to.
func (ps *Pages) compare(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	a, err := asked(strings.Join(formValues(v, "scopesA"), "\n"))
	if err != nil {
		return err
	}
	b, err := asked(strings.Join(formValues(v, "scopesB"), "\n"))
	if err != nil {
		return err
	}
	c := Compare(a, b)
	c.A, c.B, c.Asked = strings.Join(a, "\n"), strings.Join(b, "\n"), len(a)+len(b) > 0
	return v.Show(http.StatusOK, page.View{Title: "Compare scopes", Name: "scopecompare", Body: c}, nil)
}

// Compare says for each scope of two sets whether the other has it, or covers it by a scope with a star.
func Compare(a, b []string) comparison {
	var c comparison
	first, other := side{Name: "First"}, side{Name: "Other"}
	first.List, c.Same, c.LeftMissing = against(a, b)
	other.List, _, c.RightMissing = against(b, a)
	c.Sides = []side{first, other}
	return c
}

func against(list, other []string) (out []pair, same, missing int) {
	exact, stars := map[string]bool{}, map[string]bool{}
	longest := 0
	for _, s := range other {
		exact[s] = true
		if start, star := strings.CutSuffix(s, "*"); star {
			stars[start] = true
			longest = max(longest, len(start))
		}
	}
	list = slices.Clone(list)
	slices.SortFunc(list, scope.Compare)
	for _, s := range slices.Compact(list) {
		p := pair{Scope: s, State: "missing"}
		if exact[s] {
			p.State = "both"
			same++
		}
		for n := 0; p.State == "missing" && n <= min(len(s), longest); n++ {
			if stars[s[:n]] {
				p.State, p.By = "covered", s[:n]+"*"
			}
		}
		if p.State == "missing" {
			missing++
		}
		out = append(out, p)
	}
	return out, same, missing
}
