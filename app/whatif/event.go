package whatif

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/ui/debug"
)

// occasion is what a try is made for: what the template sees, whose scopes count, and what a decision would know.
type occasion struct {
	event templates.Event
	role  string
	level int
	facts params.Decision
}

const (
	maxPushes     = 30
	maxDeliveries = 30
	pullLevel     = 1 // the trust of what anybody may propose
)

// The occasions that can be made up, by what keeps the repository.
var (
	ofGitHub = []string{
		"github-push", "github-tag", "github-pull-request", "github-pull-request-untrusted", "github-pull-request-assigned", "github-issue-comment",
		"github-release", "cron",
	}
	ofGit       = []string{"git-push", "cron"}
	ofMercurial = []string{"hg-push", "cron"}
)

func madeUp(r push.Repository) []string {
	switch r.Kind {
	case push.GitHub:
		return ofGitHub
	case push.Mercurial:
		return ofMercurial
	}
	return ofGit
}

// occasions lists what happened to the repository, and what could.
func (l *Lab) occasions(ctx context.Context, p place) ([]debug.Occasion, error) {
	var list []debug.Occasion
	pushes, err := l.Push.List(ctx, p.repository.Name, 0, maxPushes)
	if err != nil {
		return nil, err
	}
	for _, one := range pushes {
		subject, _, _ := strings.Cut(one.Message, "\n")
		list = append(list, debug.Occasion{
			ID: "push/" + strconv.FormatInt(one.ID, 10), Real: true,
			Text: fmt.Sprintf("Push %d to %s: %s (%.10s)", one.ID, one.Branch, cut(subject, 60), one.Revision),
		})
	}
	deliveries, err := l.deliveries(ctx, p.repository)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		list = append(list, debug.Occasion{ID: "delivery/" + d.GUID, Real: true, Text: fmt.Sprintf("Webhook %s %s of %s", d.Event, d.Action, d.Received.UTC().Format("2 Jan 15:04"))})
	}
	for _, name := range madeUp(p.repository) {
		list = append(list, debug.Occasion{ID: "new/" + name, Text: "Made up: " + strings.ReplaceAll(name, "-", " ")})
	}
	return list, nil
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// Event implements debug.Lab.
func (l *Lab) Event(ctx context.Context, repository, ref, name string) (debug.Event, error) {
	p, err := l.find(ctx, repository, ref)
	if err != nil {
		return debug.Event{}, err
	}
	o, err := l.occasion(ctx, p, debug.Request{Occasion: name})
	if err != nil {
		return debug.Event{}, err
	}
	out := debug.Event{Occasion: name, TasksFor: o.event.TasksFor, Role: o.role, Level: o.level, Now: o.event.Now, Seed: o.event.Seed, Own: o.event.OwnTaskID}
	if o.event.Event != nil {
		if out.Event, err = json.MarshalIndent(o.event.Event, "", "  "); err != nil {
			return out, err
		}
	}
	if o.event.Context != nil {
		out.Context, err = json.MarshalIndent(o.event.Context, "", "  ")
	}
	return out, err
}

// occasion makes the occasion of a request. An edited event is taken in the place of the real one, and never widens
// whose scopes count: these follow from the kind of event and the branch.
func (l *Lab) occasion(ctx context.Context, p place, r debug.Request) (occasion, error) {
	kind, id, _ := strings.Cut(cmp.Or(r.Occasion, "new/"+madeUp(p.repository)[0]), "/")
	var o occasion
	var err error
	switch kind {
	case "push":
		o, err = l.pushed(ctx, p, id)
	case "delivery":
		o, err = l.delivered(ctx, p, id)
	case "new":
		o, err = l.invented(p, id)
	default:
		err = fault.New(fault.BadArguments, "There is no occasion %q.", r.Occasion)
	}
	if err != nil {
		return o, err
	}
	if r.Event != "" {
		var body map[string]any
		if err := json.Unmarshal([]byte(r.Event), &body); err != nil {
			return o, fault.New(fault.Invalid, "The event is no JSON object: %v.", err)
		}
		if p.repository.Kind == push.GitHub && kind != "cron" {
			o.event.Event = body
			o = l.github(p, o, body)
		} else {
			o.event = o.event.With(body)
		}
	}
	if r.TasksFor != "" && r.TasksFor != o.event.TasksFor {
		o.event.TasksFor, o.facts.TasksFor = r.TasksFor, r.TasksFor
		o.role, o.level = roleFor(p, r.TasksFor, o), levelFor(l, p, r.TasksFor, o)
		o.facts.Level = strconv.Itoa(o.level)
	}
	return o, nil
}

// roleFor is whose scopes tasks of a kind of event are created with.
func roleFor(p place, tasksFor string, o occasion) string {
	prefix := intake.Role(p.repository)
	branch := strings.TrimPrefix(o.facts.HeadRef, "refs/heads/")
	switch {
	case tasksFor == "github-pull-request-untrusted":
		return prefix + ":pull-request-untrusted"
	case strings.HasPrefix(tasksFor, "github-pull-request"), tasksFor == "github-issue-comment":
		return prefix + ":pull-request"
	case tasksFor == "github-release":
		return prefix + ":release"
	case tasksFor == "cron":
		return prefix + ":cron:what-if"
	case o.facts.HeadTag != "":
		return prefix + ":tag:" + o.facts.HeadTag
	}
	return prefix + ":branch:" + branch
}

func levelFor(l *Lab, p place, tasksFor string, o occasion) int {
	if strings.HasPrefix(tasksFor, "github-pull-request") || tasksFor == "github-issue-comment" {
		return pullLevel
	}
	if l.LevelOf != nil {
		return l.LevelOf(p.repository, strings.TrimPrefix(o.facts.HeadRef, "refs/heads/"))
	}
	return p.repository.Level
}

// pushed is a push that is recorded.
func (l *Lab) pushed(ctx context.Context, p place, id string) (occasion, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return occasion{}, fault.New(fault.BadArguments, "%q is no number of a push.", id)
	}
	one, err := l.Push.Get(ctx, p.repository.Name, n)
	if errors.Is(err, fault.NotFound) {
		return occasion{}, fault.New(fault.NotFound, "The repository %s has no push %d.", p.repository.Name, n)
	}
	if err != nil {
		return occasion{}, err
	}
	return l.push(p, one), nil
}

// push is a push as the intake gives it to .taskcluster.yml, and its decision.
func (l *Lab) push(p place, one push.Push) occasion {
	r := p.repository
	o := occasion{role: intake.Role(r) + ":branch:" + one.Branch, level: r.Level}
	if l.LevelOf != nil {
		o.level = l.LevelOf(r, one.Branch)
	}
	o.facts = params.Decision{
		BaseRepository: r.URL, BaseRef: "refs/heads/" + one.Branch, BaseRev: one.Base, HeadRepository: r.URL, HeadRef: "refs/heads/" + one.Branch, HeadRev: one.Revision,
		Project: one.Repository, Owner: one.Email, Level: strconv.Itoa(o.level), PushlogID: one.Number(), RepositoryType: intake.RepositoryType(r),
		Pushdate: one.Time.Unix(), FilesChanged: one.FilesChanged, CommitMessage: one.Message, Now: one.Time,
	}
	if r.Kind == push.GitHub {
		o.facts.TasksFor = "github-push"
		body := githubPush(r, one)
		o.event = l.webhook(r, "github-push", body, one.Time, fmt.Sprintf("what-if %s %d", r.Name, one.ID))
		return o
	}
	given := l.given(r, one, o.level)
	o.facts.TasksFor = "git-push"
	o.event = templates.LocalPush(given)
	if r.Kind == push.Mercurial {
		o.facts.TasksFor, o.facts.BaseRef, o.facts.HeadRef = "hg-push", one.Branch, one.Branch
		o.event = templates.MercurialPush(given)
	}
	return o
}

// given is a push as templates of git's pushes see it.
func (l *Lab) given(r push.Repository, one push.Push, level int) templates.Push {
	return templates.Push{
		Repository: r.URL, Project: one.Repository, Role: intake.Role(r), Level: level, Owner: one.Email, Branch: one.Branch, Revision: one.Revision,
		BaseRevision: one.Base, Comment: one.Message, PushID: one.ID, PushlogID: one.Number(), Time: one.Time, Now: one.Time, DecisionTaskID: intake.DecisionTaskID(one), RootURL: l.RootURL,
	}
}

// webhook is an event of GitHub as builds give it to .taskcluster.yml.
func (l *Lab) webhook(_ push.Repository, tasksFor string, body map[string]any, at time.Time, seed string) templates.Event {
	own := ownID(seed)
	return templates.Event{
		TasksFor: tasksFor, Event: body, RootURL: l.RootURL, Now: at, Seed: seed, OwnTaskID: own, Context: map[string]any{"ownTaskId": own},
	}
}

// github fills in what a decision would know of a webhook.
func (l *Lab) github(p place, o occasion, body map[string]any) occasion {
	r, f := p.repository, o.facts
	f.BaseRepository, f.HeadRepository, f.RepositoryType = r.URL, r.URL, "git"
	f.Project = cmp.Or(text(body, "repository", "name"), r.Name)
	f.CommitMessage = cmp.Or(text(body, "head_commit", "message"), text(body, "pull_request", "title"), f.CommitMessage)
	f.Owner = cmp.Or(text(body, "pusher", "email"), f.Owner, "nobody@example.com")
	f.PushlogID = cmp.Or(f.PushlogID, "0")
	if ref := text(body, "ref"); ref != "" {
		f.BaseRef, f.HeadRef = ref, ref
		f.HeadTag, _ = strings.CutPrefix(ref, "refs/tags/")
		if f.HeadTag == ref {
			f.HeadTag = ""
		}
		f.BaseRev, f.HeadRev = cmp.Or(text(body, "before"), f.BaseRev), cmp.Or(text(body, "after"), f.HeadRev)
	}
	if pull, ok := body["pull_request"].(map[string]any); ok {
		f.BaseRef, f.BaseRev = "refs/heads/"+text(pull, "base", "ref"), text(pull, "base", "sha")
		f.HeadRef, f.HeadRev = "refs/heads/"+text(pull, "head", "ref"), text(pull, "head", "sha")
		f.HeadRepository = cmp.Or(text(pull, "head", "repo", "clone_url"), f.HeadRepository)
		f.Owner = cmp.Or(text(pull, "user", "login"), "nobody") + "@users.noreply.github.com"
	}
	f.HeadTag = cmp.Or(f.HeadTag, text(body, "release", "tag_name"))
	f.TasksFor, f.Now, f.Pushdate = o.event.TasksFor, o.event.Now, o.event.Now.Unix()
	o.facts = f
	o.role, o.level = roleFor(p, o.event.TasksFor, o), levelFor(l, p, o.event.TasksFor, o)
	o.facts.Level = strconv.Itoa(o.level)
	return o
}

// text finds a string in a body.
func text(m map[string]any, path ...string) string {
	for _, step := range path[:len(path)-1] {
		m, _ = m[step].(map[string]any)
	}
	s, _ := m[path[len(path)-1]].(string)
	return s
}

// invented makes up an occasion at the revision that is tried.
func (l *Lab) invented(p place, name string) (occasion, error) {
	r := p.repository
	now := time.Now().UTC().Truncate(time.Second)
	branch := p.ref
	if _, isBranch := p.heads[branch]; !isBranch {
		branch = r.DefaultBranch
	}
	one := push.Push{
		Repository: r.Name, ID: 1, Revision: p.revision, Branch: branch, Author: "Somebody", Email: "somebody@example.com", Message: "A push that nobody made", Time: now,
	}
	switch name {
	case "git-push", "hg-push":
		return l.push(p, one), nil
	case "cron":
		o := l.push(p, one)
		if r.Kind == push.GitHub { // jobs have the names of git's pushes everywhere
			o.event = templates.LocalPush(l.given(r, one, o.level))
		}
		o.event.TasksFor, o.facts.TasksFor, o.facts.Owner = "cron", "cron", "cron"
		o.event = o.event.With(map[string]any{"cron": map[string]any{"job_name": "what-if", "job_symbol": "what-if", "quoted_args": "", "time": now.Format(time.RFC3339)}})
		o.role = intake.Role(r) + ":cron:what-if"
		return o, nil
	}
	body := sampleWebhook(r, one, name)
	if body == nil {
		return occasion{}, fault.New(fault.BadArguments, "There is no made-up event %q.", name)
	}
	tasksFor := name
	switch name {
	case "github-tag":
		tasksFor = "github-push"
	case "github-pull-request-assigned":
		tasksFor = "github-pull-request"
	}
	o := occasion{event: l.webhook(r, tasksFor, body, now, "what-if "+r.Name+" "+name)}
	o.facts = params.Decision{HeadRev: p.revision, HeadRef: "refs/heads/" + branch, BaseRef: "refs/heads/" + branch}
	return l.github(p, o, body), nil
}

// githubPush is the webhook of a push, as far as what is recorded tells.
func githubPush(r push.Repository, one push.Push) map[string]any {
	body := common(r)
	commits := []any{}
	for _, c := range one.Commits {
		commits = append([]any{map[string]any{"id": c.Revision, "message": c.Message, "author": map[string]any{"name": c.Author, "email": c.Email}}}, commits...)
	}
	head := map[string]any{"id": one.Revision, "message": one.Message, "timestamp": one.Time.Format(time.RFC3339), "author": map[string]any{"name": one.Author, "email": one.Email}}
	maps.Copy(body, map[string]any{
		"ref": "refs/heads/" + one.Branch, "before": cmp.Or(one.Base, strings.Repeat("0", 40)), "after": one.Revision, "deleted": false, "created": one.Base == "",
		"commits": commits, "head_commit": head, "pusher": map[string]any{"name": one.Author, "email": one.Email},
	})
	return body
}

// common is what every webhook of a repository has.
func common(r push.Repository) map[string]any {
	full := strings.TrimPrefix(r.ForgePath(), "github.com/")
	owner, name, ok := strings.Cut(full, "/")
	if !ok {
		owner, name = "somebody", full
	}
	url := strings.TrimSuffix(r.URL, ".git")
	person := map[string]any{"login": "somebody", "id": 1.0, "type": "User"}
	return map[string]any{
		"repository": map[string]any{
			"id": 1.0, "name": name, "full_name": full, "owner": map[string]any{"login": owner, "name": owner}, "html_url": url, "clone_url": url + ".git",
			"url": url, "git_url": url + ".git", "ssh_url": "git@github.com:" + full + ".git", "default_branch": r.DefaultBranch, "private": false, "pushed_at": 0.0,
		},
		"sender": person, "installation": map[string]any{"id": 1.0},
	}
}

// sampleWebhook makes up a webhook; nil for a kind that is not known.
func sampleWebhook(r push.Repository, one push.Push, name string) map[string]any {
	body := common(r)
	repository := body["repository"]
	side := func(label, ref, sha string) map[string]any {
		return map[string]any{"label": label, "ref": ref, "sha": sha, "user": map[string]any{"login": "somebody"}, "repo": repository}
	}
	pull := map[string]any{
		"number": 1.0, "state": "open", "title": one.Message, "body": "", "draft": false, "merged": false, "html_url": strings.TrimSuffix(r.URL, ".git") + "/pull/1",
		"user": map[string]any{"login": "somebody"}, "base": side("base", r.DefaultBranch, one.Revision), "head": side("somebody:change", "change", one.Revision),
	}
	switch name {
	case "github-push":
		return githubPush(r, one)
	case "github-tag":
		body = githubPush(r, one)
		body["ref"] = "refs/tags/v1.0"
	case "github-pull-request", "github-pull-request-untrusted":
		maps.Copy(body, map[string]any{"action": "opened", "number": 1.0, "pull_request": pull})
	case "github-pull-request-assigned":
		maps.Copy(body, map[string]any{"action": "assigned", "number": 1.0, "pull_request": pull, "assignee": map[string]any{"login": "somebody"}})
	case "github-issue-comment":
		maps.Copy(body, map[string]any{
			"action": "created", "taskcluster_comment": "try", "comment": map[string]any{"body": "/taskcluster try", "user": map[string]any{"login": "somebody"}},
			"issue": map[string]any{"number": 1.0, "pull_request": map[string]any{}}, "pull_request": pull,
		})
	case "github-release":
		maps.Copy(body, map[string]any{"action": "published", "release": map[string]any{
			"tag_name": "v1.0", "target_commitish": r.DefaultBranch, "name": "1.0", "draft": false, "prerelease": false, "author": map[string]any{"login": "somebody"},
			"published_at": one.Time.Format(time.RFC3339), "html_url": strings.TrimSuffix(r.URL, ".git") + "/releases/tag/v1.0",
		}})
	default:
		return nil
	}
	return body
}
