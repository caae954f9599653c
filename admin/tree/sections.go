package tree

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/auth/scope"
)

// repositoryKeys are those of the server's file of repositories; a test holds them against it.
var repositoryKeys = []string{
	"name", "kind", "url", "level", "default-branch", "cron-branches", "try-branches", "owner",
	"branches", "bookmarks", "pushlog", "poll", "backfill", "hook-secrets", "pulse-keys", "trust-domain", "fingerprints", "ca-file",
}

// RepositoryKeys are the keys of a repository that the server's file of repositories has, too.
func RepositoryKeys() []string { return slices.Clone(repositoryKeys) }

var (
	hookID    = regexp.MustCompile(`^[a-zA-Z0-9_-]+/[a-zA-Z0-9_/-]+$`)
	clientID  = regexp.MustCompile(`^[A-Za-z0-9!@/:.+|_-]+$`)
	channels  = []string{"email", "matrix-room", "slack-channel", "pulse"}
	domainOf  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,37}$`)
	repoName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	forever   = "3000-01-01T00:00:00.000Z"
	maxSource = 2000
)

func (r *reader) managed(a at) {
	a.items(func(item at) {
		p, err := resource.ParsePattern(item.text())
		if err != nil {
			item.wrong("%v", err)
			return
		}
		r.tree.Managed = append(r.tree.Managed, p)
	})
}

func (r *reader) repositories(a at) {
	a.items(func(item at) {
		f := item.mapping(append(RepositoryKeys(), "path", "tags")...)
		p := Repository{Place: item.place(), Level: 3, entry: map[string]any{}}
		for _, key := range repositoryKeys {
			v, ok := f[key]
			if !ok {
				continue
			}
			p.entry[key] = v.value()
			switch key {
			case "name":
				p.Name = r.once(v, "repository "+v.text(), v.text())
			case "kind":
				p.Kind = v.text()
			case "level":
				p.Level = v.level()
			case "trust-domain":
				p.TrustDomain = v.text()
			case "try-branches":
				p.TryBranches = v.texts()
			}
		}
		if v, ok := f["tags"]; ok {
			p.Tags = v.texts()
		}
		r.path(item, &p, f)
		r.tree.Repositories = append(r.tree.Repositories, p)
	})
}

// path finds how roles name a repository, and which of its keys are for the directory alone.
func (r *reader) path(item at, p *Repository, f map[string]at) {
	switch {
	case !repoName.MatchString(p.Name):
		item.wrong("the name %.100q must begin with a letter or digit, and have only these and . _ -; it is the repository's name everywhere", p.Name)
	case p.TrustDomain != "" && !domainOf.MatchString(p.TrustDomain):
		f["trust-domain"].wrong("it must be a short word of a-z, 0-9 and -")
	}
	switch p.Kind {
	case "hg":
		u, ok := f["url"]
		if !ok {
			item.wrong("it has no url; write where its pages are, such as url: https://hg.example.com/%s", p.Name)
			return
		}
		_, path, _ := strings.Cut(u.text(), "://")
		p.Path = strings.TrimSuffix(path, "/")
		p.serversRoles = p.TrustDomain != ""
		if _, ok := f["level"]; !ok {
			p.Level = 1
		}
		if v, ok := f["path"]; ok {
			v.wrong("that of a Mercurial repository follows from its url; leave it out")
		}
	case "":
		delete(p.entry, "trust-domain") // the server takes it for Mercurial repositories
		v, ok := f["path"]
		if !ok {
			item.wrong("it has no path; write how roles name it, such as path: github.com/acme/%s, or local/%s for one on the server's machine", p.Name, p.Name)
			return
		}
		if p.Path = v.text(); strings.Contains(p.Path, "://") || strings.HasSuffix(p.Path, "/") || !strings.Contains(p.Path, "/") {
			v.wrong("%.200q must be host and path without a scheme, such as github.com/acme/%s", p.Path, p.Name)
		}
		for _, key := range []string{"url", "default-branch", "branches", "bookmarks", "pushlog", "poll", "backfill", "hook-secrets", "pulse-keys", "fingerprints", "ca-file"} {
			if v, ok := f[key]; ok {
				v.wrong("it is for a repository with kind: hg; leave it out")
			}
		}
	default:
		f["kind"].wrong("%.100q is not known; write hg, or leave it out for a repository that the server knows otherwise", p.Kind)
	}
	if p.Path != "" {
		r.once(item, "path "+p.Path, p.Path)
	}
}

// scopes reads scopes of which each could be one.
func (r *reader) scopes(a at) []string {
	list := []string{}
	a.items(func(item at) {
		s := item.text()
		if s != "" && !scope.Valid(s) {
			item.wrong("%.200q is no scope; it must be printable ASCII and must not end in **", s)
		}
		list = append(list, s)
	})
	return list
}

func (r *reader) grants(a at) {
	a.items(func(item at) {
		f := item.mapping("scopes", "reason", "to")
		g := Grant{Place: item.place()}
		for key, remedy := range map[string]string{
			"scopes": "write what is granted, a list of scopes", "reason": "write why, for those who read the role", "to": "write to whom, such as - projects: acme-*",
		} {
			if v, ok := f[key]; !ok || v.Tag == "!!null" || v.Kind == yamlScalar && v.Value == "" {
				item.wrong("it has no %s; %s", key, remedy)
				return
			}
		}
		g.Scopes, g.Reason = r.scopes(f["scopes"]), f["reason"].text()
		f["to"].items(func(to at) { g.To = append(g.To, r.target(to)) })
		r.tree.Grants = append(r.tree.Grants, g)
	})
}

func (r *reader) target(a at) Target {
	f := a.mapping("role", "projects", "level", "tags", "if", "branch", "event", "action", "cron")
	t := Target{Place: a.place()}
	if v, ok := f["role"]; ok {
		if t.Role = v.text(); len(f) > 1 {
			a.wrong("role stands alone: put the other keys into an entry of their own")
		}
		return t
	}
	v, ok := f["projects"]
	if !ok {
		a.wrong("it names nobody; write role: ID, or projects: PATTERN (\"*\" for all repositories)")
		return t
	}
	t.Projects = v.texts()
	if v, ok := f["level"]; ok {
		t.Levels = v.levels()
	}
	if v, ok := f["tags"]; ok {
		t.Tags = v.texts()
	}
	if v, ok := f["if"]; ok {
		t.If = compile(v, v.text(), repositoryEnv(Repository{}))
	}
	t.Job = "*"
	jobs := 0
	for _, key := range []string{"branch", "action", "cron", "event"} {
		if v, ok := f[key]; ok {
			jobs++
			if t.Job = key + ":" + v.text(); key == "event" {
				t.Job = v.text()
			}
		}
	}
	if jobs > 1 {
		a.wrong("branch, action, cron and event exclude each other; make an entry for each")
	}
	return t
}

// repositoryEnv is what conditions about a repository know.
func repositoryEnv(p Repository) map[string]any {
	return map[string]any{
		"name": p.Name, "kind": p.Kind, "path": p.Path, "level": p.Level, "tags": append([]string{}, p.Tags...),
		"trust_domain": p.TrustDomain, "try_branches": append([]string{}, p.TryBranches...),
	}
}

func (r *reader) roles(a at) {
	a.each(func(id string, v at) {
		f := v.mapping("description", "scopes")
		role := Role{Place: v.place(), ID: r.once(v, "role "+id, id), Scopes: []string{}}
		if id == "" || !scope.Printable(id) {
			v.wrong("the id of a role must be printable ASCII")
		}
		if d, ok := f["description"]; ok {
			role.Description = d.text()
		}
		if s, ok := f["scopes"]; ok {
			role.Scopes = r.scopes(s)
		}
		r.tree.Roles = append(r.tree.Roles, role)
	})
}

func (r *reader) clients(a at) {
	a.each(func(id string, v at) {
		f := v.mapping("description", "scopes", "level", "expires", "disabled", "delete-on-expiration")
		c := Client{Place: v.place(), ID: r.once(v, "client "+id, id), Expires: forever, Scopes: []string{}}
		switch {
		case !clientID.MatchString(id):
			v.wrong("the id of a client must be of letters, digits and !@/:.+|_-")
		case strings.HasPrefix(id, "static/"):
			v.wrong("clients that begin with static/ come from the server's configuration; leave it out")
		}
		for key, field := range f {
			switch key {
			case "description":
				c.Description = field.text()
			case "scopes":
				c.Scopes = r.scopes(field)
			case "level":
				c.Level = field.level()
			case "expires":
				c.Expires = expires(field)
			case "disabled":
				c.Disabled = field.truth()
			case "delete-on-expiration":
				c.DeleteOnExpiration = field.truth()
			}
		}
		r.tree.Clients = append(r.tree.Clients, c)
	})
}

// expires reads a date or a time.
func expires(a at) string {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, a.Value); err == nil && a.Node.Kind == yamlScalar {
			return t.UTC().Format(resource.TimeLayout)
		}
	}
	a.wrong("it is no time; write a date such as 2030-01-31, or a time such as 2030-01-31T09:00:00Z")
	return forever
}

func (r *reader) secrets(a at) {
	a.each(func(name string, v at) {
		f := v.mapping("description")
		s := Secret{Place: v.place(), Name: r.once(v, "secret "+name, name)}
		if d, ok := f["description"]; ok {
			s.Description = d.text()
		}
		r.tree.Secrets = append(r.tree.Secrets, s)
	})
}

func (r *reader) denylist(a at) {
	a.items(func(item at) {
		f := item.mapping(append(slices.Clone(channels), "reason")...)
		d := Denied{Place: item.place()}
		for _, channel := range channels {
			if v, ok := f[channel]; ok {
				if d.Type != "" {
					v.wrong("an entry has one address; make another entry")
				}
				d.Type, d.Address = channel, v.text()
			}
		}
		if d.Type == "" {
			item.wrong("it has no address; write one of %s", strings.Join(channels, ", "))
		}
		if v, ok := f["reason"]; ok {
			d.Reason = v.text()
		}
		r.once(item, "denylist "+d.Type+"/"+d.Address, "")
		r.tree.Denylist = append(r.tree.Denylist, d)
	})
}

func (r *reader) checks(a at) {
	a.items(func(item at) {
		f := item.mapping("name", "reason", "none", "every", "where", "holds", "reaches", "has", "expr")
		c := Check{Place: item.place()}
		read := func(key string, into *string) {
			if v, ok := f[key]; ok {
				*into = v.text()
			}
		}
		read("name", &c.Name)
		read("reason", &c.Reason)
		read("where", &c.Where)
		read("holds", &c.Holds)
		read("expr", &c.Expr)
		if v, ok := f["reaches"]; ok {
			c.Reaches = v.texts()
		}
		if v, ok := f["has"]; ok {
			c.Has = v.texts()
		}
		read("none", &c.Of)
		if _, ok := f["every"]; ok {
			c.Every = true
			read("every", &c.Of)
		}
		_, none := f["none"]
		ways := 0
		for _, used := range []bool{none, c.Every, c.Expr != ""} {
			if used {
				ways++
			}
		}
		switch {
		case c.Name == "" || c.Reason == "":
			item.wrong("it has no name or no reason; write both: what must hold, and what goes wrong otherwise")
		case ways != 1:
			item.wrong("write one of none: THINGS, every: THINGS, or expr: CONDITION")
		case c.Every && c.Holds == "":
			item.wrong("every needs holds: CONDITION")
		case c.Holds != "" && !c.Every:
			item.wrong("holds goes with every; with none write where")
		case none && c.Where == "" && len(c.Reaches)+len(c.Has) == 0:
			item.wrong("none needs where: CONDITION, reaches: SCOPE or has: SCOPE")
		case len(c.Reaches)+len(c.Has) > 0 && !none:
			item.wrong("reaches and has go with none")
		}
		r.tree.Checks = append(r.tree.Checks, c)
	})
}
