package action

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/params"
)

// RolePrefix is what the names of a repository's roles begin with, such as
// repo:github.com/owner/name; "" for a URL without a host. A repository that the Treeline server at
// rootURL hands out itself, at /git/<name>, has repo:local/<name>.
func RolePrefix(repository, rootURL string) string {
	address := repository
	if name, ok := strings.CutPrefix(address, strings.TrimSuffix(rootURL, "/")+"/git/"); ok && rootURL != "" {
		return "repo:local/" + strings.TrimSuffix(name, ".git")
	}
	if rest, ok := strings.CutPrefix(address, "git@"); ok { // git@host:owner/name
		address = "ssh://git@" + strings.Replace(rest, ":", "/", 1)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	host := u.Host // with its port, as in the names that servers give roles
	if u.Scheme == "ssh" {
		host = u.Hostname() // the port is not that of the web server
	}
	return "repo:" + host + "/" + strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
}

// Scope is the scope that an action task of this permission must hold literally: that of the
// repository pushed to, or for a pull request that of the repository it is for (taskgraph-map 18.2).
func Scope(p *params.Parameters, permission, rootURL string) string {
	if p.IsPullRequest() {
		return fmt.Sprintf("assume:%s:pr-action:%s", RolePrefix(p.String("base_repository"), rootURL), permission)
	}
	return fmt.Sprintf("assume:%s:action:%s", RolePrefix(p.String("head_repository"), rootURL), permission)
}

// CheckScope refuses an action task whose own scopes do not name the permission of the action: a hook
// or a template that was talked into running the callback of another action gets no further.
func (r *Registry) CheckScope(callback string, p *params.Parameters, rootURL string, scopes []string) error {
	d, err := r.lookup(callback)
	if err != nil {
		return err
	}
	want := Scope(p, d.Permission, rootURL)
	if !slices.Contains(scopes, want) {
		return fmt.Errorf("action %s: the action task must hold the scope %s itself, and does not (it holds %s)", callback, want, strings.Join(scopes, ", "))
	}
	return nil
}
