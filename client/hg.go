package client

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

// HgRepository is a Mercurial repository that a server follows.
type HgRepository struct {
	Name     string     `json:"name"`
	URL      string     `json:"url,omitempty"`
	Pushlog  *bool      `json:"pushlog,omitempty"` // nil before the first look
	Cursor   int64      `json:"cursor"`
	Heads    int        `json:"heads"`
	Looked   *task.Time `json:"looked,omitempty"`
	Next     *task.Time `json:"next,omitempty"` // nil: now
	Moved    *task.Time `json:"moved,omitempty"`
	Hinted   *task.Time `json:"hinted,omitempty"`
	Hints    int64      `json:"hints"`
	Failures int        `json:"failures"`
	Error    string     `json:"error"`
}

// HgRepositories lists the Mercurial repositories that are followed, by name.
func (c *Client) HgRepositories(ctx context.Context) ([]HgRepository, error) {
	var out struct {
		Repositories []HgRepository `json:"repositories"`
	}
	return out.Repositories, c.Call(ctx, "hg", http.MethodGet, "/repositories", nil, nil, &out)
}
