package ghclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Installation is where the App is installed.
type Installation struct {
	ID      int64 `json:"id"`
	Account struct {
		Login string `json:"login"`
		ID    int64  `json:"id"`
	} `json:"account"`
	Permissions json.RawMessage `json:"permissions"` // all of them: the client's own type leaves some out
	Suspended   *time.Time      `json:"suspended_at"`
}

// Installations returns all installations of the App.
func (a *App) Installations(ctx context.Context) ([]Installation, error) {
	var out []Installation
	c := a.AsApp()
	for page := 1; page > 0; {
		r, err := c.NewRequest(http.MethodGet, fmt.Sprintf("app/installations?per_page=100&page=%d", page), nil)
		if err != nil {
			return nil, fmt.Errorf("github: installations: %w", err)
		}
		var list []Installation
		answer, err := c.Do(ctx, r, &list)
		if err != nil {
			return nil, fmt.Errorf("github: installations: %w", err)
		}
		out, page = append(out, list...), answer.NextPage
	}
	return out, nil
}
