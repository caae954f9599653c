package tree

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/internal/fault"
)

// maxReasons bounds what a role's description tells of the grants that made it, in bytes.
const maxReasons = 4000

// finish checks what no section can see alone.
func (r *reader) finish() {
	if len(r.problems) > 0 {
		return
	}
	set, roles := r.tree.resources(&r.problems)
	for _, res := range set.Sorted() {
		if !r.tree.Managed.Match(res.Key) {
			r.wrong(res.At, res.String(), "it is not managed; add a pattern such as \"%s:%s\" to managed", res.Kind, res.ID)
		}
	}
	if err := expand.Check(roles); err != nil {
		r.circle(set, err)
	}
}

func (r *reader) wrong(at, key, format string, args ...any) {
	file, line, _ := strings.Cut(at, ":")
	n, err := strconv.Atoi(line)
	if err != nil {
		n = 1
	}
	r.problems = append(r.problems, Problem{Place{file, n}, key, fmt.Sprintf(format, args...)})
}

var namedRole = regexp.MustCompile(`assume:(\S+)|role "([^"]+)"`)

// circle tells of roles that cannot be, at the first one that is named.
func (r *reader) circle(set resource.Set, err error) {
	at := "?:1"
	for _, m := range namedRole.FindAllStringSubmatch(fault.Message(err), -1) {
		if res, ok := set[resource.Key{Kind: resource.Role, ID: m[1] + m[2]}]; ok {
			at = res.At
			break
		}
	}
	r.wrong(at, "", "%s; take one of these scopes away", fault.Message(err))
}

// Resources are what the directory wants to be there.
func (t *Tree) Resources() resource.Set {
	set, _ := t.resources(&Problems{})
	return set
}

func (p Place) String() string { return p.File + ":" + strconv.Itoa(p.Line) }

func (t *Tree) resources(problems *Problems) (resource.Set, []expand.Role) {
	g := generator{tree: t, set: resource.Set{}, roles: map[string]*building{}, problems: problems}
	for _, role := range t.Roles {
		b := g.role(role.ID, role.Place)
		b.description = role.Description
		b.scopes = append(b.scopes, role.Scopes...)
	}
	for _, h := range t.Hooks {
		g.add(resource.Hook, h.ID, h.Body, h.Place)
		if h.Scopes != nil {
			b := g.role("hook-id:"+h.ID, h.Place)
			b.description = "What the tasks of the hook " + h.ID + " may do."
			b.scopes = append(b.scopes, h.Scopes...)
		}
	}
	g.grants()
	for _, c := range t.Clients {
		g.add(resource.Client, c.ID, resource.ClientBody{
			Scopes: resource.Scopes(c.Scopes), Description: t.described(c.Description), Expires: c.Expires, DeleteOnExpiration: c.DeleteOnExpiration, Disabled: c.Disabled,
		}, c.Place)
	}
	for _, p := range t.Pools {
		g.add(resource.Pool, p.ID, p.Body, p.Place)
	}
	for _, s := range t.Secrets {
		g.add(resource.Secret, s.Name, struct{}{}, s.Place)
	}
	for _, d := range t.Denylist {
		g.add(resource.Denylist, d.Type+"/"+d.Address, struct{}{}, d.Place)
	}
	return g.set, g.finish()
}

// described is a description as the server gets it.
func (t *Tree) described(text string) string {
	if t.Banner == "" {
		return text
	}
	return strings.TrimSpace(strings.TrimSpace(t.Banner) + "\n\n" + strings.TrimSpace(text))
}

// building is a role that grants add to.
type building struct {
	Place
	description string
	scopes      []string
	reasons     []string
}

type generator struct {
	tree     *Tree
	set      resource.Set
	roles    map[string]*building
	problems *Problems
}

func (g *generator) wrong(p Place, key, format string, args ...any) {
	*g.problems = append(*g.problems, Problem{p, key, fmt.Sprintf(format, args...)})
}

func (g *generator) add(kind resource.Kind, id string, body any, p Place) {
	r, err := resource.New(kind, id, body, p.String())
	if err != nil {
		g.wrong(p, string(kind)+" "+id, "it cannot be written as JSON: %v", err)
		return
	}
	g.set[r.Key] = r
}

func (g *generator) role(id string, p Place) *building {
	b := g.roles[id]
	if b == nil {
		b = &building{Place: p}
		g.roles[id] = b
	}
	return b
}

func (g *generator) grants() {
	for _, grant := range g.tree.Grants {
		for _, to := range grant.To {
			if to.Role != "" {
				g.give(to.Role, grant, to, nil)
				continue
			}
			found := false
			for i := range g.tree.Repositories {
				p := &g.tree.Repositories[i]
				chosen, err := to.chooses(*p)
				if err != nil {
					g.wrong(to.Place, "if", "of %s: %v", p.Name, err)
					return
				}
				if !chosen {
					continue
				}
				found = true
				if p.serversRoles && (to.Job == "*" || to.Job == "action:*" || to.Job == "cron:*") {
					g.wrong(to.Place, "", "the server itself makes repo:%s:%s, since %s has kind: hg and a trust-domain; grant to a branch, or leave the trust-domain out", p.Path, to.Job, p.Name)
					continue
				}
				g.give("repo:"+p.Path+":"+to.Job, grant, to, p)
			}
			if !found {
				g.wrong(to.Place, "projects", "no repository is like that; look at the names, levels and tags of the repositories")
			}
		}
	}
}

func (g *generator) give(role string, grant Grant, to Target, p *Repository) {
	b := g.role(role, grant.Place)
	for _, s := range grant.Scopes {
		filled, err := fill(s, to, p)
		if err != nil {
			g.wrong(grant.Place, "scopes", "%v", err)
			return
		}
		b.scopes = append(b.scopes, filled)
	}
	b.reasons = append(b.reasons, strings.TrimSpace(grant.Reason))
}

// chooses reports whether a grant is for a repository.
func (t Target) chooses(p Repository) (bool, error) {
	if !slices.ContainsFunc(t.Projects, func(pattern string) bool { return resource.Glob(pattern, p.Name) }) || !hasAny(t.Levels, t.level(p)) {
		return false, nil
	}
	for _, tag := range t.Tags {
		if !slices.Contains(p.Tags, tag) {
			return false, nil
		}
	}
	if t.If == nil {
		return true, nil
	}
	out, err := expr.Run(t.If, repositoryEnv(p))
	chosen, _ := out.(bool)
	return chosen, err
}

func (t Target) level(p Repository) int { return LevelOf(p, t.Job) }

// LevelOf is the trust of a job of a repository, such as branch:main: pull requests and tries have 1,
// whatever the repository has.
func LevelOf(p Repository, job string) int {
	branch, ok := strings.CutPrefix(job, "branch:")
	try := ok && slices.ContainsFunc(p.TryBranches, func(pattern string) bool { return resource.Glob(strings.ReplaceAll(pattern, "**", "*"), branch) })
	if try || strings.HasPrefix(job, "pull-request") || strings.HasPrefix(job, "pr-action") {
		return 1
	}
	return p.Level
}

var placeholder = regexp.MustCompile(`\{[a-z-]+\}`)

// fill puts what is known of a repository into a scope.
func fill(s string, to Target, p *Repository) (string, error) {
	var err error
	out := placeholder.ReplaceAllStringFunc(s, func(word string) string {
		switch {
		case p == nil:
			err = fmt.Errorf("%s in %s: there is no repository to take it from; it can be used where to: names projects", word, s)
		case word == "{name}":
			return p.Name
		case word == "{path}":
			return p.Path
		case word == "{level}":
			return strconv.Itoa(to.level(*p))
		case word == "{trust-domain}" && p.TrustDomain != "":
			return p.TrustDomain
		case word == "{trust-domain}":
			err = fmt.Errorf("{trust-domain} in %s: the repository %s has none; give it one, or choose others", s, p.Name)
		default:
			err = fmt.Errorf("%s in %s is not known; there are {name}, {path}, {level} and {trust-domain}", word, s)
		}
		return word
	})
	return out, err
}

// finish makes the roles of what was gathered.
func (g *generator) finish() []expand.Role {
	var all []expand.Role
	for id, b := range g.roles {
		text := b.description
		if len(b.reasons) > 0 {
			text = strings.TrimSpace(text + "\n\n" + listed(b.reasons))
		}
		scopes := resource.Scopes(b.scopes)
		g.add(resource.Role, id, resource.RoleBody{Scopes: scopes, Description: g.tree.described(text)}, b.Place)
		all = append(all, expand.Role{ID: id, Scopes: scopes})
	}
	slices.SortFunc(all, func(a, b expand.Role) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// listed is why grants were made, each reason once and in order.
func listed(reasons []string) string {
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	var b strings.Builder
	for i, r := range reasons {
		line := "* " + strings.ReplaceAll(r, "\n", "\n  ") + "\n"
		if b.Len()+len(line) > maxReasons {
			fmt.Fprintf(&b, "* and %d more reasons", len(reasons)-i)
			break
		}
		b.WriteString(line)
	}
	return b.String()
}
