package ghfake

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// What follows shows how things stand to whoever looks at the site.

// Repositories returns all repositories, oldest first.
func (s *Server) Repositories() []*Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.repos), func(a, b *Repository) int { return cmp.Compare(a.ID, b.ID) })
}

// Repository finds a repository by owner/name, or by a name that it had; nil when there is none.
func (s *Server) Repository(fullName string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repoByName(fullName)
}

// Apps returns all Apps, oldest first.
func (s *Server) Apps() []*App {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.apps), func(a, b *App) int { return cmp.Compare(a.ID, b.ID) })
}

// Troubles says which faults are on: an outage, slow answers, and until when the secondary limit holds.
func (s *Server) Troubles() (outage bool, slow time.Duration, limited time.Time) {
	return s.failures.Now()
}

// Role returns what a person may do: admin, maintain, write, triage, read or none.
func (r *Repository) Role(login string) string {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.role(login)
}

// DefaultBranch returns the name of the default branch.
func (r *Repository) DefaultBranch() string {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.branch
}

// Branches returns the names of the branches, sorted.
func (r *Repository) Branches() ([]string, error) {
	refs, err := r.git.Refs("refs/heads/")
	out := make([]string, len(refs))
	for i, ref := range refs {
		out[i] = strings.TrimPrefix(ref[0], "refs/heads/")
	}
	return out, err
}

// Files returns the paths of the files at a revision, sorted.
func (r *Repository) Files(ref string) ([]string, error) {
	list, err := r.git.List(r.git.Resolve(ref), true)
	var out []string
	for _, e := range list {
		if e.Kind == "blob" {
			out = append(out, e.Path)
		}
	}
	return out, err
}

// File returns a file's content at a revision.
func (r *Repository) File(ref, path string) (string, error) {
	return r.git.Git(nil, "cat-file", "blob", r.git.Resolve(ref)+":"+path)
}

// Log returns the newest commits that a revision reaches.
func (r *Repository) Log(ref string, limit int) ([]bare.Commit, error) {
	return r.git.Log(limit, r.git.Resolve(ref))
}

// ForkOf returns a person's fork of the repository, which is made when there is none.
func (r *Repository) ForkOf(login string) (*Repository, error) {
	for _, other := range r.server.Repositories() {
		if other.fork == r && strings.EqualFold(other.owner.Login, login) {
			return other, nil
		}
	}
	return r.Fork(login)
}

// PullView is how a pull request stands.
type PullView struct {
	Number                     int
	Title, Author, State       string // State is open, closed or merged
	From, Branch, Base, Head   string // From is the repository it comes from, "" when that was deleted
	Draft, Fork, CanBeMerged   bool
	Labels                     []string
	Created, Updated, FinishAt time.Time
}

// Pulls returns how the pull requests stand, the newest first.
func (r *Repository) Pulls() []PullView {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	var out []PullView
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(r.pulls))) {
		out = append(out, r.pulls[n].view())
	}
	return out
}

// Pull returns a pull request and how it stands; nil when there is none.
func (r *Repository) Pull(number int) (*Pull, PullView) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if p := r.pulls[number]; p != nil {
		return p, p.view()
	}
	return nil, PullView{}
}

func (p *Pull) view() PullView {
	v := PullView{
		Number: p.Number, Title: p.title, Author: p.author.Login, State: p.state, Branch: p.branch, Base: p.base, Head: p.head, Draft: p.draft,
		Labels: slices.Clone(p.labels), Created: p.created, Updated: p.updated, FinishAt: p.closed, Fork: p.from != p.repo,
	}
	if p.from != nil {
		v.From = p.from.FullName()
	}
	if p.merged != "" {
		v.State = "merged"
	}
	_, err := p.repo.git.Line("merge-tree", "--write-tree", p.repo.git.Resolve("refs/heads/"+p.base), p.head)
	v.CanBeMerged = err == nil && v.State == "open"
	return v
}

// Button is a button of a check run, as its App asked for it.
type Button struct{ Label, Description, Identifier string }

// Remark is an annotation of a check run.
type Remark struct {
	Path, Level, Title, Message string
	Line                        string
}

// Details returns what of a check run is not in CheckRun: its buttons, which people see when it is completed, and its
// annotations.
func (s *Server) Details(run int64) (buttons []Button, remarks []Remark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[run]
	if r == nil {
		return nil, nil
	}
	text := func(v any, key string) string {
		o, _ := v.(obj)
		s, _ := o[key].(string)
		return s
	}
	for _, a := range r.actions {
		buttons = append(buttons, Button{text(a, "label"), text(a, "description"), text(a, "identifier")})
	}
	for _, a := range r.annotations {
		o, _ := a.(obj)
		line, _ := o["start_line"].(interface{ String() string })
		x := Remark{Path: text(a, "path"), Level: text(a, "annotation_level"), Title: text(a, "title"), Message: text(a, "message")}
		if line != nil {
			x.Line = line.String()
		}
		remarks = append(remarks, x)
	}
	return buttons, remarks
}

// StatusView is a commit status.
type StatusView struct{ Context, State, Description, Target string }

// Statuses returns the newest status of each context at a revision, sorted by context.
func (r *Repository) Statuses(sha string) []StatusView {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	seen := map[string]StatusView{}
	for _, o := range slices.Backward(r.statuses[sha]) {
		text := func(key string) string { s, _ := o[key].(string); return s }
		seen[text("context")] = StatusView{text("context"), text("state"), text("description"), text("target_url")}
	}
	return slices.SortedFunc(maps.Values(seen), func(a, b StatusView) int { return strings.Compare(a.Context, b.Context) })
}
