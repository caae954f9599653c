// Package bugtracker makes the bug tracker of the pages of a server's setting.
package bugtracker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/app/bugzilla"
	"github.com/treeline-ci/treeline/app/github/issues"
	"github.com/treeline-ci/treeline/triage/bugs"
)

const like = "github:https://github.com/OWNER/REPOSITORY or bugzilla:https://HOST?product=PRODUCT&component=COMPONENT"

// Open makes the tracker that a setting names, nil for none. token is what bugs are filed with; without one people file them
// in the tracker's own form. It asks nobody. Errors hold no token.
func Open(setting, token string) (bugs.Tracker, error) {
	if setting == "" {
		if token != "" {
			return nil, errors.New("there is a token, and no tracker: give one like " + like)
		}
		return nil, nil
	}
	kind, address, _ := strings.Cut(setting, ":")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the tracker must be like " + like)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: what is asked and filed must not go over a connection that is not encrypted: use https", u.Host)
	}
	root := url.URL{Scheme: u.Scheme, Host: u.Host}
	switch kind {
	case "github":
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		if len(parts) != 2 || parts[0] == "" || parts[1] == "" || u.RawQuery != "" {
			return nil, errors.New("a tracker on GitHub must be like github:https://github.com/OWNER/REPOSITORY")
		}
		return issues.New(issues.Config{URL: root.String(), Owner: parts[0], Name: parts[1], Token: token})
	case "bugzilla":
		q := u.Query()
		root.Path = strings.TrimSuffix(u.Path, "/")
		c := bugzilla.Config{URL: root.String(), Product: q.Get("product"), Component: q.Get("component"), Version: q.Get("version"), Token: token}
		if c.Product == "" || c.Component == "" {
			return nil, errors.New("a Bugzilla must be like bugzilla:https://HOST?product=PRODUCT&component=COMPONENT, where new bugs go")
		}
		return bugzilla.New(c), nil
	}
	return nil, fmt.Errorf("there is no kind of tracker %q: it must be like %s", kind, like)
}
