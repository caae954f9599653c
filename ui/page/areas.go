package page

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Area is a place of the header's menus, of the palette and of the keys "g" and Key.
type Area struct {
	Name, Path, Key string
	Main            bool // stands in the header, not only in its menu
}

// areas are all there may be; a server that lacks one does not show it.
func areas() []Area {
	return []Area{
		{"Pushes", "/", "p", false},
		{"Task groups", "/tasks/groups", "g", true},
		{"Hooks", "/hooks", "h", true},
		{"Calendar", "/cron", "c", true},
		{"Workers", "/worker-manager", "w", true},
		{"Queues", "/queues", "q", false},
		{"Index", "/tasks/index", "i", false},
		{"Trees", "/trees", "t", false},
		{"Create a task", "/tasks/create", "n", false},
		{"Try a configuration", "/config-debug", "d", false},
		{"Quickstart", "/quickstart", "", false},
		{"Clients", "/auth/clients", "a", false},
		{"Roles", "/auth/roles", "r", false},
		{"Scopes", "/auth/scopes", "", false},
		{"Secrets", "/secrets", "", false},
		{"Audit", "/audit", "", false},
		{"Approvals", "/auth/approvals", "", false},
		{"Caches", "/purge-caches", "", false},
		{"Denylist", "/notify/denylist", "", false},
		{"Pulse messages", "/pulse-messages", "m", false},
		{"Documentation", "/docs", "", false},
		{"Status", "/status", "s", false},
		{"Profile", "/profile", "o", false},
	}
}

// served are the areas that this server has pages for.
func (k *Kit) served() []Area {
	return slices.DeleteFunc(areas(), func(a Area) bool {
		_, pattern := k.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: a.Path}})
		return pattern == "/" || pattern == "" || strings.HasPrefix(a.Path, "/tasks/") && strings.Contains(pattern, "{task}")
	})
}

// Areas are those that this server has pages for. repo is the repository that is looked at, which some keep to. It
// must not be called before all pages are there.
func (k *Kit) Areas(repo string) []Area {
	out := slices.Clone(k.areas())
	if repo == "" {
		return out
	}
	query := "?" + url.Values{"repo": {repo}}.Encode()
	for i := range out {
		switch out[i].Key {
		case "p":
			out[i].Path = "/jobs" + query
		case "c":
			out[i].Path += query
		}
	}
	return out
}
