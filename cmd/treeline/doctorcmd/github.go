package doctorcmd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/app/github/setup"
	"github.com/treeline-ci/treeline/doctor"
)

// reader is who reads the GitHub App's secret, in the audit log.
const reader = "treeline/doctor"

// hub is the GitHub App of a deployment, wherever that keeps it. It is read once, for that leaves a record.
type hub struct {
	d    *deployment
	pool *pgxpool.Pool // nil when the database cannot be reached

	mu   sync.Mutex
	read bool
	app  settings.Config
	err  error
}

// skip says why GitHub cannot be looked at; "" when it can.
func (h *hub) skip() string {
	switch g := h.d.config.GitHub; {
	case g.AppID != 0:
		return ""
	case g.Stored == "":
		return "no App is configured here"
	case h.pool == nil:
		return "the App stands in the database, which cannot be reached"
	case !h.d.secrets:
		return "the App stands in the database, and there are no secrets to open it"
	}
	return ""
}

// config is the App. An error says that no server starts with it.
func (h *hub) config(ctx context.Context) (settings.Config, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read {
		return h.app, h.err
	}
	if h.app = h.d.config.GitHub; h.app.Stored != "" {
		ring, err := h.d.config.Secrets.Ring()
		if err != nil {
			return h.app, err
		}
		h.app, h.err = app.StoredGitHub(ctx, app.Vault(h.pool, ring, slog.New(slog.DiscardHandler)), h.app, reader)
	}
	h.read = ctx.Err() == nil
	return h.app, h.err
}

func (h *hub) look(ctx context.Context) (found []doctor.Finding, err error) {
	g, err := h.config(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return []doctor.Finding{doctor.Found("config-unreadable", "%v", err)}, nil
	case g.Stored != "":
		found = weaknesses(webhookSecrets(g))
	}
	s, err := setup.Look(ctx, ghclient.Config{AppID: g.AppID, Key: g.Key, API: g.API}, h.d.config.RootURL)
	if err != nil {
		found = append(found, doctor.Found("github-unreachable", "%v", err))
	}
	for _, p := range s.Problems {
		found = append(found, doctor.Found("github-problem", "%s", p))
	}
	return found, nil
}

// webhookSecrets are those of an App, by what they are for.
func webhookSecrets(g settings.Config) map[string]string {
	out := map[string]string{}
	for i, s := range g.Secrets {
		out[fmt.Sprintf("the webhook secret %d", i+1)] = s
	}
	return out
}

// weaknesses finds what is wrong with secrets, by what they are for.
func weaknesses(secrets map[string]string) (found []doctor.Finding) {
	for _, what := range slices.Sorted(maps.Keys(secrets)) {
		if code, why := doctor.Weak(secrets[what]); code != "" {
			found = append(found, doctor.Found(code, "%s %s", what, why))
		}
	}
	return found
}

// githubSkew is how far GitHub lets a clock be away.
const githubSkew = 30 * time.Second

func (h *hub) clock(ctx context.Context) ([]doctor.Finding, error) {
	g, err := h.config(ctx)
	if err != nil {
		return nil, ctx.Err() // the check of GitHub says it
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, cmp.Or(g.API, ghclient.PublicAPI), nil)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return nil, fmt.Errorf("GitHub does not tell its time: %w", err)
	}
	if by := doctor.Skew(began, time.Now(), date, time.Second); by > githubSkew {
		return []doctor.Finding{doctor.Found("clock-forge", "the clock of GitHub is %v away from this machine's", by.Round(time.Second))}, nil
	}
	return nil, nil
}
