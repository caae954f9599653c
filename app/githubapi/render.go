package githubapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/templates"
)

// fake is an event that is made up.
type fake struct {
	Type      string         `json:"type"`
	Action    string         `json:"action"`
	Overrides map[string]any `json:"overrides"`
}

type object = map[string]any

// render renders a file for an event that is made up.
func (d *door) render(_ context.Context, r *web.Request) (any, error) {
	var in struct {
		Body         string `json:"body"`
		FakeEvent    fake   `json:"fakeEvent"`
		Organization string `json:"organization"`
		Repository   string `json:"repository"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	owner, repo := cmp.Or(in.Organization, "owner"), cmp.Or(in.Repository, "repository")
	event := in.FakeEvent.event(owner, repo)
	file, err := templates.Parse([]byte(in.Body), ".taskcluster.yml")
	var tasks []templates.Task
	if err == nil {
		tasks, err = file.Render(templates.Event{TasksFor: in.FakeEvent.Type, Event: event, RootURL: d.rootURL, Now: time.Now(), Seed: slug.Nice()})
	}
	if wrong, ok := errors.AsType[*templates.Error](err); ok {
		return nil, fault.New(fault.BadInput, "%s", wrong.Error())
	}
	if err != nil {
		return nil, err
	}
	out := struct {
		Tasks  []json.RawMessage `json:"tasks"`
		Scopes []string          `json:"scopes"`
	}{Tasks: []json.RawMessage{}}
	for _, t := range tasks {
		text, err := json.Marshal(t.Definition)
		if err != nil {
			return nil, err
		}
		out.Tasks = append(out.Tasks, append([]byte(`{"taskId":"`+t.ID+`",`), text[1:]...))
	}
	route := "statuses"
	if file.Reporting != "" {
		route = "checks"
	}
	out.Scopes = []string{"assume:repo:github.com/" + owner + "/" + repo + ":" + in.FakeEvent.role(event), "queue:route:" + route, "queue:scheduler-id:taskcluster-github"}
	return out, nil
}

// role is what an event's tasks would be made under.
func (f fake) role(event object) string {
	switch f.Type {
	case "github-pull-request-untrusted":
		return "pull-request-untrusted"
	case "github-release":
		return "release:" + f.Action
	case "github-push":
		ref, _ := event["ref"].(string)
		if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
			return "tag:" + tag
		}
		return "branch:" + strings.TrimPrefix(ref, "refs/heads/")
	}
	return "pull-request"
}

// event makes a webhook's body up, with the members that files use.
func (f fake) event(owner, repo string) object {
	const before, after = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	user := object{"login": "developer", "id": 1, "type": "User"}
	site := "https://github.com/" + owner + "/" + repo
	repository := object{
		"id": 1, "name": repo, "full_name": owner + "/" + repo, "html_url": site, "url": site, "clone_url": site + ".git", "ssh_url": "git@github.com:" + owner + "/" + repo + ".git",
		"private": false, "fork": false, "default_branch": "main", "owner": object{"login": owner, "name": owner, "id": 2},
	}
	commit := object{"id": after, "message": "A change", "timestamp": "2024-01-01T00:00:00Z", "author": object{"name": "Developer", "email": "developer@users.noreply.github.com", "username": "developer"},
		"added": []any{}, "removed": []any{}, "modified": []any{"README.md"}, "url": site + "/commit/" + after}
	pull := object{
		"number": 1, "id": 3, "state": "open", "title": "A change", "body": "", "draft": false, "merged": false, "labels": []any{}, "user": user, "html_url": site + "/pull/1", "url": site + "/pulls/1",
		"head": object{"ref": "topic", "sha": after, "label": owner + ":topic", "user": user, "repo": repository},
		"base": object{"ref": "main", "sha": before, "label": owner + ":main", "user": object{"login": owner}, "repo": repository},
	}
	e := object{"repository": repository, "sender": user, "installation": object{"id": 1}}
	switch f.Type {
	case "github-push":
		maps.Copy(e, object{"ref": "refs/heads/main", "before": before, "after": after, "base_ref": nil, "created": false, "deleted": false, "forced": false,
			"compare": site + "/compare/main", "commits": []any{commit}, "head_commit": commit, "pusher": object{"name": "developer", "email": "developer@users.noreply.github.com"}})
	case "github-release":
		e["release"] = object{"id": 4, "tag_name": "v1.0.0", "target_commitish": "main", "name": "v1.0.0", "draft": false, "prerelease": false, "author": user, "html_url": site + "/releases/tag/v1.0.0", "body": ""}
	case "github-issue-comment":
		e["issue"] = object{"number": 1, "title": "A change", "state": "open", "user": user, "pull_request": object{"url": site + "/pulls/1"}}
		e["comment"] = object{"id": 5, "body": "/taskcluster test", "user": user}
		e["taskcluster_comment"], e["pull_request"] = "test", pull
	default:
		e["number"], e["pull_request"] = 1, pull
	}
	if f.Action != "" {
		e["action"] = f.Action
	}
	merge(e, f.Overrides)
	return e
}

// merge puts what is given in place, object by object.
func merge(into, given object) {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		inner, isObject := given[key].(object)
		if old, ok := into[key].(object); ok && isObject {
			copied := maps.Clone(old)
			merge(copied, inner)
			into[key] = copied
			continue
		}
		into[key] = given[key]
	}
}
