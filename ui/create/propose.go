package create

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// Proposals make pull requests with the files of a starter.
type Proposals interface {
	// Way tells how files come into a repository; nil where no pull request can be opened.
	Way(ctx context.Context, repository string) (*Way, error)
	// Propose opens a pull request, or finds the one that is open. by is the client that asks for it.
	Propose(ctx context.Context, by string, s Starter) (Proposed, error)
}

// Way is how files come into a repository.
type Way struct {
	Scope   string   // what asking for a pull request needs
	Account string   // whose repository it is
	Branch  string   // that holds the files until they are merged
	Lacks   []string // permissions that the server lacks there, of the forge's names
}

// Proposed is a pull request.
type Proposed struct {
	Number int
	URL    string
	Before bool // it was open before
}

// propose opens a pull request with the files. Sent twice, it finds the same.
func (ps *Pages) propose(v *page.Visit) error {
	if ps.Starter == nil || ps.Proposals == nil {
		return page.ErrNoPage
	}
	w, err := ps.look(v, v.R.PostFormValue("repo"))
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made, err := ps.proposed(v, w); err != nil {
		status, w.Problem = page.StatusOf(err), fault.Message(err)
		if status == http.StatusInternalServerError {
			return err
		}
	} else {
		w.Made = &made
	}
	return ps.showStart(v, status, w)
}

func (ps *Pages) proposed(v *page.Visit, w start) (Proposed, error) {
	if w.Starter == nil || w.Way == nil {
		return Proposed{}, fault.New(fault.BadArguments, "Pull requests are opened where the server's GitHub App is installed.")
	}
	if err := v.Allow(scope.String(w.Way.Scope)); err != nil {
		return Proposed{}, err
	}
	return ps.Proposals.Propose(v.R.Context(), v.Session.ClientID, *w.Starter)
}

// longest is how many bytes an address for one file has at most: what is longer, servers refuse.
const longest = 6000

// newFile is the address of the forge's own form for a file, filled in; "" where that cannot be.
func newFile(s *Starter, f File) string {
	if s.NewFileURL == "" {
		return ""
	}
	parts := strings.Split(s.Branch, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	to := s.NewFileURL + strings.Join(parts, "/") + "?" + url.Values{"filename": {f.Name}, "value": {f.Content}, "quick_pull": {"1"}}.Encode()
	if len(to) > longest {
		return ""
	}
	return to
}
