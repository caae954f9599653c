package page

import (
	"net/http"
	"net/url"
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
		{"Caches", "/purge-caches", "", false},
		{"Denylist", "/notify/denylist", "", false},
		{"Pulse messages", "/pulse-messages", "m", false},
		{"Documentation", "/docs", "", false},
		{"Status", "/status", "s", false},
		{"Profile", "/profile", "o", false},
	}
}

// Areas are those that this server has pages for. repo is the repository that is looked at, which some keep to.
func (k *Kit) Areas(repo string) []Area {
	var out []Area
	for _, a := range areas() {
		_, pattern := k.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: a.Path}})
		if pattern == "/" || pattern == "" || strings.HasPrefix(a.Path, "/tasks/") && strings.Contains(pattern, "{task}") {
			continue
		}
		switch {
		case repo != "" && a.Key == "p":
			a.Path = "/jobs?" + url.Values{"repo": {repo}}.Encode()
		case repo != "" && a.Key == "c":
			a.Path += "?" + url.Values{"repo": {repo}}.Encode()
		}
		out = append(out, a)
	}
	return out
}
