// Package hgapi is the HTTP door of the Mercurial repositories that are followed: how they stand, and hints
// that they moved.
package hgapi

import (
	"context"
	"embed"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

//go:embed schemas/*.json
var schemas embed.FS

type door struct{ watch *hg.Watch }

// Service is the table of endpoints of the service hg.
func Service(w *hg.Watch) web.Service {
	d := door{w}
	const category = "Mercurial Service"
	return web.Service{
		Name: "hg", Version: "v1", Title: "Mercurial",
		Description: "Follows Mercurial repositories. Hooks of their servers may hint that one moved; it is looked at then.",
		Schemas:     schemas,
		Params:      map[string]string{"repository": `^[A-Za-z0-9][A-Za-z0-9._-]{0,149}$`},
		Endpoints: []web.Endpoint{
			{
				Name: "repositories", Method: http.MethodGet, Route: "/repositories", Category: category, Stability: "experimental",
				Scopes: scope.Text("hg:list-repositories"), Output: "repositories.json", Handle: d.repositories,
				Title: "List repositories", Description: "The Mercurial repositories that are followed, when each was looked at, and what is wrong where a look fails.",
			},
			{
				Name: "hint", Method: http.MethodPost, Route: "/hint/<repository>", Proof: web.SignedBody, Category: category, Stability: "experimental",
				Input: web.Blob, Handle: d.hint,
				Title: "Hint that a repository moved",
				Description: "For the hook that `treeline hg hook` prints. The header `" + hg.HintHeader + "` is `t=<Unix seconds>,v1=<HMAC-SHA256>` of the " +
					"seconds, a full stop and the body, with a secret of the repository; the clocks may differ by five minutes. Nothing in the body is " +
					"believed: the repository is looked at now, that is all.",
			},
		},
	}
}

func (d door) hint(ctx context.Context, r *web.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(r.Writer, r.HTTP.Body, hg.MaxHint))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.New(fault.TooLarge, "A hint has at most %d bytes.", large.Limit)
	}
	if err != nil {
		return nil, fault.New(fault.BadInput, "The body could not be read.")
	}
	if err := d.watch.Hint(ctx, r.Params["repository"], r.HTTP.Header.Get(hg.HintHeader), body); err != nil {
		return nil, err
	}
	return web.Status{Code: http.StatusAccepted, Body: map[string]any{}}, nil
}

// repository is a repository on the wire.
type repository struct {
	Name     string     `json:"name"`
	URL      string     `json:"url,omitempty"`
	Pushlog  *bool      `json:"pushlog,omitempty"`
	Cursor   int64      `json:"cursor"`
	Heads    int        `json:"heads"`
	Looked   *task.Time `json:"looked,omitempty"`
	Next     *task.Time `json:"next,omitempty"`
	Moved    *task.Time `json:"moved,omitempty"`
	Hinted   *task.Time `json:"hinted,omitempty"`
	Hints    int64      `json:"hints"`
	Failures int        `json:"failures"`
	Error    string     `json:"error"`
}

func (d door) repositories(ctx context.Context, _ *web.Request) (any, error) {
	list, err := d.watch.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]repository, len(list))
	for i, s := range list {
		out[i] = repository{
			Name: s.Name, URL: s.URL, Pushlog: s.Pushlog, Cursor: s.Cursor, Heads: s.Heads, Looked: at(s.Looked), Next: at(s.Next), Moved: at(s.Moved),
			Hinted: at(s.Hinted), Hints: s.Hints, Failures: s.Failures, Error: s.Error,
		}
	}
	return map[string]any{"repositories": out}, nil
}

func at(t *time.Time) *task.Time {
	if t == nil {
		return nil
	}
	return &task.Time{Time: *t}
}
