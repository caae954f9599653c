package githubapi

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

// readAll reads a webhook's body as it came.
func readAll(r *web.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(r.Writer, r.HTTP.Body, github.MaxBody))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.New(fault.TooLarge, "A webhook has at most %d bytes.", large.Limit)
	}
	if err != nil {
		return nil, fault.New(fault.BadInput, "The body could not be read.")
	}
	return body, nil
}

// build is a build on the wire.
type build struct {
	Organization      string    `json:"organization"`
	Repository        string    `json:"repository"`
	SHA               string    `json:"sha"`
	State             string    `json:"state"`
	TaskGroupID       string    `json:"taskGroupId"`
	EventType         string    `json:"eventType"`
	EventID           string    `json:"eventId"`
	PullRequestNumber int       `json:"pullRequestNumber,omitempty"`
	Created           task.Time `json:"created"`
	Updated           task.Time `json:"updated"`
}

type buildPage struct {
	Builds            []build `json:"builds"`
	ContinuationToken string  `json:"continuationToken,omitempty"`
}

var guid = regexp.MustCompile(`^[a-zA-Z0-9]{8}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{12}$`)

// escaped is a name as routing keys and builds have it (taskcluster-map 13.1).
func escaped(name string) string {
	return strings.ReplaceAll(name, ".", "%")
}

func plain(name string) string { return strings.ReplaceAll(name, "%", ".") }

func shown(list []github.Build) []build {
	out := make([]build, len(list))
	for i, b := range list {
		out[i] = build{
			Organization: escaped(b.Organization), Repository: escaped(b.Repository), SHA: b.SHA, State: b.State, TaskGroupID: b.TaskGroupID,
			EventType: b.EventType, EventID: b.EventID, PullRequestNumber: b.PullNumber, Created: task.At(b.Created), Updated: task.At(b.Updated),
		}
		if !guid.MatchString(b.EventID) {
			out[i].EventID = "Unknown"
		}
	}
	return out
}

func (d *door) builds(ctx context.Context, r *web.Request) (any, error) {
	if d.room == nil {
		return buildPage{Builds: []build{}}, nil
	}
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	f := github.Filter{Organization: plain(r.Query("organization")), Repository: plain(r.Query("repository")), SHA: r.Query("sha"), Limit: limit + 1}
	if f.Repository != "" && f.Organization == "" {
		return nil, fault.New(fault.Invalid, "Must provide organization when querying repository.")
	}
	if r.Query("pullRequest") != "" {
		if f.Repository == "" {
			return nil, fault.New(fault.Invalid, "Must provide repository and organization when querying pullRequest.")
		}
		if f.PullNumber, err = strconv.Atoi(r.Query("pullRequest")); err != nil {
			return nil, fault.New(fault.Invalid, "pullRequest is not a number of a pull request.")
		}
	}
	web.ReadToken(token, &f.After)
	list, err := d.room.Builds(ctx, f)
	if err != nil {
		return nil, err
	}
	page := buildPage{}
	if len(list) > limit {
		list = list[:limit]
		if page.ContinuationToken, err = web.Token(list[limit-1].TaskGroupID); err != nil {
			return nil, err
		}
	}
	page.Builds = shown(list)
	return page, nil
}

func (d *door) cancelBuilds(ctx context.Context, r *web.Request) (any, error) {
	if err := d.need(); err != nil {
		return nil, err
	}
	f := github.Filter{Organization: plain(r.Params["owner"]), Repository: plain(r.Params["repo"]), SHA: r.Query("sha")}
	if r.Query("pullRequest") != "" {
		var err error
		if f.PullNumber, err = strconv.Atoi(r.Query("pullRequest")); err != nil {
			return nil, fault.New(fault.Invalid, "pullRequest is not a number of a pull request.")
		}
	}
	if f.SHA == "" && f.PullNumber == 0 {
		return nil, fault.New(fault.Invalid, "Say which builds: give sha or pullRequest.")
	}
	list, err := d.room.CancelBuilds(ctx, f)
	if err != nil {
		return nil, err
	}
	return buildPage{Builds: shown(list)}, nil
}

func (d *door) repository(ctx context.Context, r *web.Request) (any, error) {
	installed := false
	if d.room != nil {
		var err error
		if installed, err = d.room.Installed(ctx, plain(r.Params["owner"]), r.Params["repo"]); err != nil {
			return nil, err
		}
	}
	return map[string]bool{"installed": installed}, nil
}

// newest returns the newest build of a branch; nil when there is none.
func (d *door) newest(ctx context.Context, r *web.Request) (*github.Build, error) {
	if d.room == nil {
		return nil, nil
	}
	return d.room.Newest(ctx, plain(r.Params["owner"]), r.Params["repo"], r.Params["branch"])
}

func (d *door) latest(ctx context.Context, r *web.Request) (any, error) {
	b, err := d.newest(ctx, r)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, fault.New(fault.NotFound, "There is no build of branch %s of %s/%s.", r.Params["branch"], r.Params["owner"], r.Params["repo"])
	}
	at := d.rootURL + "/tasks/groups/" + b.TaskGroupID
	return web.Status{Code: http.StatusFound, Body: map[string]string{"url": at}, Header: http.Header{"Location": {at}}}, nil
}

// looks are the words and colours of a badge by a build's state.
var looks = map[string][2]string{
	"": {"no builds", "#9a9a9a"}, "pending": {"pending", "#b58900"}, "success": {"passing", "#2f8f46"}, "failure": {"failing", "#c0392b"},
	"error": {"error", "#c0392b"}, "cancelled": {"cancelled", "#7a7a7a"},
}

func (d *door) badge(ctx context.Context, r *web.Request) (any, error) {
	b, err := d.newest(ctx, r)
	if err != nil {
		return nil, err
	}
	state := ""
	if b != nil {
		state = b.State
	}
	look := looks[state]
	if state == "" {
		state = "newrepo"
	}
	const left = 60
	width := left + 12 + 7*len(look[0])
	h := r.Writer.Header()
	h.Set("X-Taskcluster-Status", state)
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	_, _ = fmt.Fprintf(r.Writer, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="Treeline: %s">`+
		`<rect width="%d" height="20" rx="3" fill="#444"/><path d="M%d 0h%d a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H%dz" fill="%s"/>`+
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="6" y="14">Treeline</text><text x="%d" y="14">%s</text></g></svg>`,
		width, html.EscapeString(look[0]), width, left, width-left-3, left, look[1], left+6, html.EscapeString(look[0])) // a reader that went away
	return web.Streamed{}, nil
}

func (d *door) createStatus(ctx context.Context, r *web.Request) (any, error) {
	if err := d.need(); err != nil {
		return nil, err
	}
	var in ghclient.CommitStatus
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	return nil, refused(d.room.CreateStatus(ctx, plain(r.Params["owner"]), r.Params["repo"], r.Params["sha"], in))
}

func (d *door) createComment(ctx context.Context, r *web.Request) (any, error) {
	if err := d.need(); err != nil {
		return nil, err
	}
	var in struct {
		Body string `json:"body"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.Params["number"])
	if err != nil {
		return nil, fault.New(fault.Invalid, "number is not a number of an issue or a pull request.")
	}
	return nil, refused(d.room.CreateComment(ctx, plain(r.Params["owner"]), r.Params["repo"], number, in.Body))
}

// refused gives what GitHub refuses a code of its own: it is no scope that the caller lacks (taskcluster-map 3.3).
func refused(err error) error {
	if errors.Is(err, ghclient.ErrRefused) {
		return &web.CodedError{Code: "ForbiddenByGithub", Status: http.StatusForbidden, Message: fault.Message(err)}
	}
	return err
}
