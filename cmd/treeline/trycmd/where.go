package trycmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// pushToVariable names the remote in the environment.
const pushToVariable = "TREELINE_TRY_PUSH_TO"

// defaultBranch is the branch that is made with git.
const defaultBranch = "try/{user}/{time}"

// own are settings of the person, in treeline/try.yml of the folder of configuration.
type own struct {
	PushTo string `yaml:"push-to"`
	Branch string `yaml:"branch"`
}

func (a *attempt) ownSettings() (own, error) {
	var o own
	name := filepath.Join(a.user, "try.yml")
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		dec := yaml.NewDecoder(strings.NewReader(string(content)))
		dec.KnownFields(true)
		if err = dec.Decode(&o); len(strings.TrimSpace(string(content))) == 0 {
			err = nil
		}
	}
	if err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

// destination is where a push goes.
type destination struct {
	remote  string // as it was named
	address string
	branch  string // with git
	why     string
	isTry   bool // whether config.yml says that such a push is a try push
}

// destination finds out where to push.
func (a *attempt) destination(ctx context.Context, now time.Time) (destination, error) {
	hooks, err := taskgraph.ReadHooks(ctx, a.Tree(), a.Root(), func(string) {})
	if err != nil {
		return destination{}, err
	}
	mine, err := a.ownSettings()
	if err != nil {
		return destination{}, err
	}
	said := value.Map(hooks.Config().Values, "try")
	d, err := a.remote(ctx, mine, value.String(said, "push-to"))
	if err != nil {
		return d, err
	}
	if d.address, err = a.work.Address(ctx, d.remote); err != nil {
		return d, fmt.Errorf("where to push (%s): %w", d.why, err)
	}
	if d.why == inTree {
		if err := a.checkHost(ctx, d); err != nil {
			return d, err
		}
	}
	decision := params.Decision{TasksFor: a.work.Kind + "-push", Project: project(d.address)}
	if a.work.Kind == "git" {
		branch := first(a.branch, mine.Branch, value.String(said, "branch"), defaultBranch)
		if d.branch, err = branchName(branch, now); err != nil {
			return d, err
		}
		decision.HeadRef = "refs/heads/" + d.branch
	}
	d.isTry = hooks.IsTry(decision)
	return d, nil
}

const inTree = "try.push-to of config.yml"

// remote is the remote to push to, or an error that says how to name one.
func (a *attempt) remote(ctx context.Context, mine own, tree string) (destination, error) {
	for _, d := range []destination{
		{remote: a.pushTo, why: "--push-to"}, {remote: os.Getenv(pushToVariable), why: pushToVariable},
		{remote: mine.PushTo, why: "push-to of try.yml"}, {remote: tree, why: inTree},
	} {
		if d.remote != "" {
			return d, nil
		}
	}
	remotes := a.work.Remotes(ctx)
	if slices.Contains(remotes, "try") {
		return destination{remote: "try", why: "the remote of that name"}, nil
	}
	if a.work.Kind == "git" && len(remotes) > 0 {
		remote := remotes[0]
		if slices.Contains(remotes, "origin") {
			remote = "origin"
		}
		if upstream := a.work.Ask(ctx, "rev-parse", "--verify", "--quiet", "--abbrev-ref", "--symbolic-full-name", "@{u}"); upstream != "" {
			remote, _, _ = strings.Cut(upstream, "/")
		}
		return destination{remote: remote, why: "the remote of this branch"}, nil
	}
	how := "git remote add try URL"
	if a.work.Kind == "hg" {
		how = "a line \"try = URL\" below [paths] in .hg/hgrc"
	}
	return destination{}, fmt.Errorf("no try repository is configured: name one with --push-to or %s, or make a remote named try (%s)", pushToVariable, how)
}

// checkHost refuses an address of the tree's that no remote of the person's has: a tree must not choose to
// whom code is sent.
func (a *attempt) checkHost(ctx context.Context, d destination) error {
	remotes := a.work.Remotes(ctx)
	if slices.Contains(remotes, d.remote) {
		return nil
	}
	for _, remote := range remotes {
		if address, err := a.work.Address(ctx, remote); err == nil && host(address) != "" && host(address) == host(d.address) {
			return nil
		}
	}
	return fmt.Errorf("%s is %s, at a host that none of your remotes has: name it with --push-to, or in your own try.yml, if you mean it", inTree, d.remote)
}

var scpHost = regexp.MustCompile(`^(?:[^/@:]+@)?([^/:]+):`)

// host is the host of an address; "" for a path.
func host(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return strings.ToLower(u.Hostname())
	}
	if m := scpHost.FindStringSubmatch(address); m != nil && !strings.Contains(address, "://") {
		return strings.ToLower(m[1])
	}
	return ""
}

// project is the last part of an address, as servers name projects.
func project(address string) string {
	address = strings.TrimSuffix(strings.TrimRight(address, "/"), ".git")
	return address[strings.LastIndexAny(address, "/:")+1:]
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

var notInBranch = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// branchName fills in {user} and {time}, and checks the name by git's rules.
func branchName(pattern string, now time.Time) (string, error) {
	name := "me"
	if u, err := user.Current(); err == nil {
		name = strings.Trim(notInBranch.ReplaceAllString(u.Username, "-"), "-")
	}
	branch := strings.NewReplacer("{user}", first(name, "me"), "{time}", now.UTC().Format("20060102-150405.000")).Replace(pattern)
	branch = strings.TrimPrefix(branch, "refs/heads/")
	bad := strings.ContainsFunc(branch, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
	for _, part := range strings.Split(branch, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad || strings.Contains(branch, "..") || strings.Contains(branch, "@{") || strings.HasSuffix(branch, ".") || strings.HasPrefix(branch, "-") {
		return "", fmt.Errorf("%.100q cannot name a branch", branch)
	}
	return branch, nil
}
