// Package manifest is what an App of the double of GitHub can be made from.
package manifest

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
)

// Manifest is what an App can be made from: a form that a browser posts to the site.
type Manifest struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Public bool   `json:"public"`
	Hook   struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`
	Redirect    string            `json:"redirect_url"`
	SetupURL    string            `json:"setup_url"`
	Description string            `json:"description"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
}

// Permissions and events that an App can ask for, as far as the double knows them; GitHub has more.
var (
	knownPermissions = []string{
		"actions", "administration", "checks", "contents", "deployments", "issues", "members", "merge_queues", "metadata", "pull_requests", "statuses", "workflows",
	}
	knownEvents = []string{
		"check_run", "check_suite", "create", "delete", "issue_comment", "issues", "member", "membership", "merge_group", "organization", "pull_request",
		"pull_request_review", "push", "release", "repository", "status", "team",
	}
)

// Problem says what GitHub would not take; "" when it would.
func (m Manifest) Problem() string {
	web := func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	}
	switch {
	case len(m.Name) > 34 || m.Name == "":
		return "Name must have 1 to 34 characters"
	case !web(m.URL):
		return "Url must be a valid URL"
	case !web(m.Hook.URL):
		return "Hook url must be a valid URL"
	case m.Redirect != "" && !web(m.Redirect):
		return "Redirect url must be a valid URL"
	}
	for name, level := range m.Permissions {
		if !slices.Contains(knownPermissions, name) || level != "read" && level != "write" && level != "admin" {
			return fmt.Sprintf("Default permissions: %s: %s is not a permission", name, level)
		}
	}
	for _, e := range m.Events {
		if !slices.Contains(knownEvents, e) {
			return fmt.Sprintf("Default events: %s is not supported", e)
		}
	}
	return ""
}

// Page has the button that makes the App.
var Page = template.Must(template.New("confirm").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Create GitHub App</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1rem}button{font:inherit;padding:.4em 1em}</style>
{{if .Problem}}<h1>This manifest is not valid</h1><p id="problem">{{.Problem}}</p>{{else}}<h1>Create GitHub App for {{.Owner}}</h1>
<p><b>{{.Name}}</b> will send webhooks to <code>{{.Hook}}</code>.</p><form action="/settings/apps/confirm" method="post"><input type="hidden" name="code" value="{{.Code}}"><button>Create {{.Name}}</button></form>{{end}}`))
