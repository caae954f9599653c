package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

const secretsService = "secrets"

// Secret is a secret value and how long it lasts (taskcluster-map 8).
type Secret struct {
	Secret  json.RawMessage `json:"secret"` // an object
	Expires task.Time       `json:"expires"`
}

// Secret returns the secret of a name. The reading is audited.
func (c *Client) Secret(ctx context.Context, name string) (Secret, error) {
	var out Secret
	err := c.Call(ctx, secretsService, http.MethodGet, Path("secret", name), nil, nil, &out)
	return out, err
}

// SetSecret puts a secret at a name, in place of the one that may be there.
func (c *Client) SetSecret(ctx context.Context, name string, s Secret) error {
	return c.Call(ctx, secretsService, http.MethodPut, Path("secret", name), nil, s, nil)
}

// RemoveSecret removes the secret of a name, if there is one.
func (c *Client) RemoveSecret(ctx context.Context, name string) error {
	return c.Call(ctx, secretsService, http.MethodDelete, Path("secret", name), nil, nil, nil)
}

// Secrets yields the names of all secrets, in order.
func (c *Client) Secrets(ctx context.Context) iter.Seq2[string, error] {
	type page struct {
		Secrets           []string `json:"secrets"`
		ContinuationToken string   `json:"continuationToken"`
	}
	return pages(ctx, c, secretsService, "/secrets", nil,
		func(p *page) []string { return p.Secrets }, func(p *page) string { return p.ContinuationToken })
}
