// Package pushlogapi is the HTTP door of the pushes that Treeline recorded, in the form of Mozilla's pushlog
// (vcs-integration 2.2): Treeherder reads there what a push brought.
package pushlogapi

import (
	"context"
	"embed"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/push"
)

//go:embed schemas/*.json
var schemas embed.FS

// MaxPushes is how many pushes one answer has at most; the newest of what was asked for.
const MaxPushes = 100

// Service is the table of endpoints of the service pushlog.
func Service(l *push.Log) web.Service {
	return web.Service{
		Name: "pushlog", Version: "v1", Title: "Pushlog",
		Description: "The pushes that Treeline recorded, in the form in which Mozilla's Mercurial servers tell of theirs. Treeherder reads it.",
		Schemas:     schemas,
		Params:      map[string]string{"repository": `^[A-Za-z0-9][A-Za-z0-9._-]{0,149}$`},
		Endpoints: []web.Endpoint{{
			Name: "pushes", Method: http.MethodGet, Route: "/repository/<repository>/json-pushes", Category: "Pushlog", Stability: "experimental",
			Query:  map[string]string{"version": `^2$`, "full": `^[01]$`, "startID": `^[0-9]{1,18}$`, "endID": `^[0-9]{1,18}$`, "changeset": `^[0-9a-f]{1,40}$`},
			Scopes: scope.Text("pushlog:read:<repository>"), Output: "pushes.json",
			Title: "List pushes",
			Description: "Pushes by their number: those above `startID` up to `endID`, or the newest ones; or the newest push of `changeset`. With `full=1` " +
				"changesets come with author and message, else by their revision alone; the head is the last. An answer has at most 100 pushes.",
			Handle: func(ctx context.Context, r *web.Request) (any, error) { return read(ctx, l, r) },
		}},
	}
}

type answer struct {
	LastPushID int64           `json:"lastpushid"`
	Pushes     map[string]item `json:"pushes"`
}

type item struct {
	Changesets []any  `json:"changesets"`
	Date       int64  `json:"date"` // Unix seconds
	User       string `json:"user"`
}

type changeset struct {
	Node    string   `json:"node"`
	Author  string   `json:"author"`
	Branch  string   `json:"branch"`
	Desc    string   `json:"desc"`
	Parents []string `json:"parents"`
	Tags    []string `json:"tags"`
}

func read(ctx context.Context, l *push.Log, r *web.Request) (any, error) {
	name := r.Params["repository"]
	if _, err := l.Repository(ctx, name); err != nil {
		return nil, err
	}
	newest, err := l.List(ctx, name, 0, 1)
	if err != nil {
		return nil, err
	}
	out := answer{Pushes: map[string]item{}}
	if len(newest) > 0 {
		out.LastPushID = newest[0].ID
	}
	list, err := asked(ctx, l, name, r)
	for _, p := range list {
		out.Pushes[strconv.FormatInt(p.ID, 10)] = itemOf(p, r.Query("full") == "1")
	}
	return out, err
}

// asked are the pushes that the request is about.
func asked(ctx context.Context, l *push.Log, name string, r *web.Request) ([]push.Push, error) {
	if r.HasQuery("changeset") {
		p, err := l.ByRevision(ctx, name, r.Query("changeset"))
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return nil, fault.New(fault.NotFound, "unknown revision '%s'", r.Query("changeset"))
		}
		return []push.Push{p}, err
	}
	number := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(r.Query(name), 10, 64) // its form was checked
		if err != nil {
			return otherwise
		}
		return n
	}
	start := number("startID", 0)
	list, err := l.List(ctx, name, number("endID", math.MaxInt64-1)+1, MaxPushes)
	return slices.DeleteFunc(list, func(p push.Push) bool { return p.ID <= start }), err
}

// itemOf writes a push; its commits are kept newest first, a pushlog has them oldest first.
func itemOf(p push.Push, full bool) item {
	commits := slices.Clone(p.Commits)
	slices.Reverse(commits)
	if len(commits) == 0 || commits[len(commits)-1].Revision != p.Revision {
		commits = append(commits, push.Commit{Revision: p.Revision, Author: p.Author, Email: p.Email, Message: p.Message})
	}
	out := item{Date: p.Time.Unix(), User: p.Email}
	parent := p.Base
	for _, c := range commits {
		if !full {
			out.Changesets = append(out.Changesets, c.Revision)
			continue
		}
		one := changeset{Node: c.Revision, Author: c.Author + " <" + c.Email + ">", Branch: p.Branch, Desc: c.Message, Parents: []string{}, Tags: []string{}}
		if parent != "" {
			one.Parents = []string{parent}
		}
		parent = c.Revision
		out.Changesets = append(out.Changesets, one)
	}
	return out
}
