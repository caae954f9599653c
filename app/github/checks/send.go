package checks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/pg"
)

// atOnce is how many annotations GitHub takes in one request.
const atOnce = 50

// request is what GitHub is sent. go-github's own leaves out what is to be emptied.
type request struct {
	Name        string     `json:"name"`
	HeadSHA     string     `json:"head_sha,omitempty"` // of new ones
	DetailsURL  string     `json:"details_url,omitempty"`
	ExternalID  string     `json:"external_id"`
	Status      string     `json:"status"`
	Conclusion  string     `json:"conclusion,omitempty"`   // given, it completes the check run
	StartedAt   *time.Time `json:"started_at,omitempty"`   // when work began
	CompletedAt *time.Time `json:"completed_at,omitempty"` // given, it completes the check run
	Output      output     `json:"output"`
	Actions     []Action   `json:"actions"`
}

type output struct {
	Title       string       `json:"title"`
	Summary     string       `json:"summary"`
	Text        string       `json:"text,omitempty"`
	Annotations []Annotation `json:"annotations,omitempty"`
}

// answer is what of a check run at GitHub is looked at.
type answer struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	ExternalID string `json:"external_id"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	Output     struct {
		Annotations int `json:"annotations_count"`
	} `json:"output"`
}

// send brings a row's state to GitHub.
func (c *Checks) send(ctx context.Context, r *row) error {
	s, err := r.state()
	if err != nil {
		return err
	}
	if r.Kind == status {
		return c.sendStatus(ctx, r, s)
	}
	if s, err = c.compose(ctx, r, s); err != nil {
		return err
	}
	if r.GitHubID == 0 && r.Perhaps {
		if err := c.adopt(ctx, r); err != nil {
			return err
		}
	} else if r.GitHubID != 0 && r.Tries > 1 && len(s.Annotations) > r.Annotated {
		at, err := c.look(ctx, r)
		if err != nil {
			return c.lost(ctx, r, err)
		}
		r.Annotated = at.Output.Annotations
	}
	if r.GitHubID == 0 && !r.Latest {
		return c.own(ctx, endSQL, r.ID, r.Fence, "never made")
	}
	return c.sendRun(ctx, r, s)
}

// sendRun makes or changes the check run. What GitHub cannot take of it is left out: annotations first, which tasks
// write, then the text, then the buttons.
func (c *Checks) sendRun(ctx context.Context, r *row, s State) error {
	for {
		err := c.sendOnce(ctx, r, s)
		if ghclient.Status(err) != http.StatusUnprocessableEntity || strings.Contains(err.Error(), "No commit found") {
			return err
		}
		if s.Status != Completed && r.GitHubID != 0 {
			// What GitHub has as completed, or as stale, cannot be on again.
			if at, looked := c.look(ctx, r); looked == nil && at.Status == Completed {
				return c.renew(ctx, r)
			}
		}
		c.Log.WarnContext(ctx, "GitHub does not take all of a check", "check", r.Name, "repository", r.Repository, "revision", r.SHA, "err", err)
		switch {
		case len(s.Annotations) > 0:
			s.Annotations = nil
		case s.Text != "":
			s.Text = ""
		case len(s.Actions) > 0:
			s.Actions = nil
		default:
			return err
		}
	}
}

func (c *Checks) sendOnce(ctx context.Context, r *row, s State) error {
	body := request{
		Name: r.Name, DetailsURL: s.DetailsURL, ExternalID: r.check().externalID(), Status: s.Status, Conclusion: s.Conclusion, Actions: s.Actions,
		Output: output{Title: s.Title, Summary: s.Summary, Text: s.Text},
	}
	if body.Actions == nil {
		body.Actions = []Action{}
	}
	if !s.StartedAt.IsZero() {
		body.StartedAt = &s.StartedAt
	}
	if s.Status == Completed && !s.CompletedAt.IsZero() {
		body.CompletedAt = &s.CompletedAt
	}
	for first := true; ; first = false {
		from := min(r.Annotated, len(s.Annotations))
		body.Output.Annotations = s.Annotations[from:min(from+atOnce, len(s.Annotations))]
		if !first {
			if len(body.Output.Annotations) == 0 {
				return nil
			}
			if err := c.exec(ctx, paySQL, r.Installation, 1/c.Pace.PerSecond); err != nil {
				return err
			}
		}
		if err := c.sendPart(ctx, r, body); err != nil {
			return err
		}
	}
}

// sendPart sends one request. Before a check run is made it is written down that it may exist: whoever takes the row
// after us looks for it.
func (c *Checks) sendPart(ctx context.Context, r *row, body request) error {
	method, path := http.MethodPatch, r.path("check-runs/"+strconv.FormatInt(r.GitHubID, 10))
	if r.GitHubID == 0 {
		method, path, body.HeadSHA = http.MethodPost, r.path("check-runs"), r.SHA
		if err := c.own(ctx, perhapsSQL, r.ID, r.Fence, true); err != nil {
			return err
		}
	}
	var at answer
	err := c.call(ctx, r, method, path, body, &at)
	switch {
	case err == nil:
		r.GitHubID, r.Annotated = at.ID, r.Annotated+len(body.Output.Annotations)
		return c.own(ctx, madeSQL, r.ID, r.Fence, r.GitHubID, r.Annotated)
	case method == http.MethodPatch:
		return c.lost(ctx, r, err)
	case refused(err):
		return errors.Join(err, c.own(ctx, perhapsSQL, r.ID, r.Fence, false))
	}
	return err
}

// refused reports whether GitHub said no, so that nothing was made.
func refused(err error) bool {
	code := ghclient.Status(err)
	return code >= 400 && code < 500
}

// lost handles a check run that is not there any more: it is looked for by its key, and made anew when it is not found.
func (c *Checks) lost(ctx context.Context, r *row, err error) error {
	if ghclient.Status(err) != http.StatusNotFound {
		return err
	}
	r.GitHubID, r.Annotated = 0, 0
	if err := c.own(ctx, lostSQL, r.ID, r.Fence); err != nil {
		return err
	}
	return fmt.Errorf("checks: the check run is not there any more: %s", err.Error()) // no longer of status 404, which would be the repository's
}

// adopt finds the check run of a row whose making had an unclear outcome.
func (c *Checks) adopt(ctx context.Context, r *row) error {
	key := r.check().externalID()
	found, err := c.list(ctx, r, url.Values{"check_name": {r.Name}})
	if err != nil {
		return err
	}
	for _, at := range found {
		if at.ExternalID == key {
			r.GitHubID, r.Annotated = at.ID, at.Output.Annotations
			return c.own(ctx, madeSQL, r.ID, r.Fence, r.GitHubID, r.Annotated)
		}
	}
	return nil
}

// list lists the check runs of the App at a row's revision, of all attempts.
func (c *Checks) list(ctx context.Context, r *row, query url.Values) ([]answer, error) {
	query.Set("filter", "all")
	query.Set("per_page", "100")
	query.Set("app_id", strconv.FormatInt(c.AppID, 10))
	var all []answer
	for page := 1; ; page++ {
		query.Set("page", strconv.Itoa(page))
		var some struct {
			Total int      `json:"total_count"`
			Runs  []answer `json:"check_runs"`
		}
		if err := c.call(ctx, r, http.MethodGet, r.path("commits/"+r.SHA+"/check-runs?"+query.Encode()), nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some.Runs...)
		if len(some.Runs) == 0 || len(all) >= some.Total {
			return all, nil
		}
	}
}

// look reads a row's check run.
func (c *Checks) look(ctx context.Context, r *row) (at answer, err error) {
	err = c.call(ctx, r, http.MethodGet, r.path("check-runs/"+strconv.FormatInt(r.GitHubID, 10)), nil, &at)
	return at, err
}

func (r *row) path(rest string) string { return "repos/" + r.Repository + "/" + rest }

// call makes one request, and writes down how many more there may be.
func (c *Checks) call(ctx context.Context, r *row, method, path string, body, into any) error {
	client := c.Client(r.Installation)
	req, err := client.NewRequest(method, path, body)
	if err != nil {
		return fmt.Errorf("checks: %s %s: %w", method, path, err)
	}
	answered, err := client.Do(ctx, req, into)
	if answered != nil && answered.Rate.Limit > 0 {
		if err := c.exec(ctx, remainingSQL, r.Installation, answered.Rate.Remaining, answered.Rate.Reset.Time); err != nil {
			return err
		}
	}
	return err
}

// sendStatus sets a commit status. One that is set twice is the same.
func (c *Checks) sendStatus(ctx context.Context, r *row, s State) error {
	is := "pending"
	switch {
	case s.Status != Completed:
	case s.Conclusion == Success, s.Conclusion == Neutral, s.Conclusion == Skipped:
		is = "success"
	case s.Conclusion == Failure, s.Conclusion == TimedOut:
		is = "failure"
	default:
		is = "error"
	}
	var at struct{}
	return c.call(ctx, r, http.MethodPost, r.path("statuses/"+r.SHA), github.RepoStatus{
		State: &is, Description: github.String(cutLine(s.Title, 140)), Context: &r.Name, TargetURL: github.String(s.DetailsURL),
	}, &at)
}

// renew makes a new attempt of what GitHub has as completed and is on.
func (c *Checks) renew(ctx context.Context, r *row) error {
	s, err := r.state()
	if err != nil {
		return err
	}
	next := r.check()
	next.Attempt++
	return c.Want(ctx, next, s)
}

var (
	// One that ended meanwhile is not made: a newer attempt took its place, which saw that there was none to end, or the App
	// went away.
	perhapsSQL = pg.Statement{Name: "checks.perhaps", Text: `UPDATE github_checks SET perhaps = $3 WHERE id = $1 AND fence = $2 AND (ended = '' OR NOT $3)`}

	madeSQL = pg.Statement{Name: "checks.made", Text: `UPDATE github_checks SET github_id = $3, annotated = $4, perhaps = false WHERE id = $1 AND fence = $2`}

	lostSQL = pg.Statement{Name: "checks.lost", Text: `UPDATE github_checks SET github_id = 0, annotated = 0, perhaps = true WHERE id = $1 AND fence = $2`}

	paySQL = pg.Statement{Name: "checks.pay", Text: `
		UPDATE github_pace SET paid_until = greatest(paid_until, clock_timestamp()) + make_interval(secs => $2) WHERE installation_id = $1`}

	remainingSQL = pg.Statement{Name: "checks.remaining", Text: `
		UPDATE github_pace SET remaining = $2, refilled = $3 WHERE installation_id = $1 AND (remaining, refilled) IS DISTINCT FROM ($2, $3)`}
)
