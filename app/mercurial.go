package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	apphg "github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

// Mercurial is what the file of repositories says of a Mercurial repository alone.
type Mercurial struct {
	Branches  []string `yaml:"branches"`  // whose pushes are decided; all when empty
	Bookmarks []string `yaml:"bookmarks"` // that count as branches; none when empty

	Pushlog  string        `yaml:"pushlog"`  // auto, yes or no; auto when ""
	Poll     time.Duration `yaml:"poll"`     // between looks when nothing gives a hint; a minute when 0
	Backfill int           `yaml:"backfill"` // pushes from before the first look that are decided

	HookSecrets []string `yaml:"hook-secrets"` // env:NAME or file:PATH, each with a secret of hooks that send hints
	PulseKeys   []string `yaml:"pulse-keys"`   // routing keys of hgpushes; the URL's path when empty

	// TrustDomain has roles made for the repository, with what its level may do (LevelScopes).
	TrustDomain string `yaml:"trust-domain"`

	Fingerprints []string `yaml:"fingerprints"` // SHA-256 of the certificates that the server may show
	CAFile       string   `yaml:"ca-file"`      // who may have signed its certificate, in place of the machine's list
}

const (
	minPoll     = 5 * time.Second
	maxPoll     = time.Hour
	maxBackfill = 200
	minSecret   = 16 // characters
)

var trustDomain = regexp.MustCompile(`^[a-z][a-z0-9-]{0,37}$`)

// check says what is wrong, and how it can be right.
func (m Mercurial) check(url string) error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"", apphg.Auto, apphg.Yes, apphg.No}, m.Pushlog) {
		add("pushlog %q is not known; it can be auto, yes or no", m.Pushlog)
	}
	if m.Poll != 0 && (m.Poll < minPoll || m.Poll > maxPoll) {
		add("poll %v is not between %v and %v", m.Poll, minPoll, maxPoll)
	}
	if m.Backfill < 0 || m.Backfill > maxBackfill {
		add("backfill %d is not between 0 and %d", m.Backfill, maxBackfill)
	}
	if m.TrustDomain != "" && !trustDomain.MatchString(m.TrustDomain) {
		add("trust-domain %q must be a short word of a-z, 0-9 and -, as in the repository's taskcluster/config.yml", m.TrustDomain)
	}
	if _, err := m.secrets(); err != nil {
		problems = append(problems, err)
	}
	if _, err := m.Open(hg.NewServers(0), url, map[string]*x509.CertPool{}); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// secrets reads the secrets of the hooks.
func (m Mercurial) secrets() ([]string, error) {
	var list []string
	for _, from := range m.HookSecrets {
		how, where, _ := strings.Cut(from, ":")
		text := ""
		switch how {
		case "env":
			text = os.Getenv(where)
		case "file":
			data, err := os.ReadFile(where)
			if err != nil {
				return nil, fmt.Errorf("hook-secrets: %w", err)
			}
			text = strings.TrimSpace(string(data))
		default: // it may be the secret itself
			return nil, errors.New("hook-secrets: each is env:NAME or file:PATH, where the secret is; the secret itself does not belong into this file")
		}
		if len(text) < minSecret {
			return nil, fmt.Errorf("hook-secrets: %s holds %d characters; a secret needs %d or more", from, len(text), minSecret)
		}
		list = append(list, text)
	}
	return list, nil
}

// Open makes the reader of a repository. authorities are those of files that have been read.
func (m Mercurial) Open(servers *hg.Servers, url string, authorities map[string]*x509.CertPool) (*hg.Repo, error) {
	o := hg.Options{Fingerprints: m.Fingerprints}
	if m.CAFile != "" {
		pool := authorities[m.CAFile]
		if pool == nil {
			text, err := os.ReadFile(m.CAFile)
			if err != nil {
				return nil, fmt.Errorf("ca-file: %w", err)
			}
			pool = x509.NewCertPool()
			if !pool.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("ca-file %s holds no certificate in PEM", m.CAFile)
			}
			authorities[m.CAFile] = pool
		}
		o.RootCAs = pool
	}
	return servers.Open(url, o)
}

// maxRemembered is how many bytes of files of Mercurial changesets are kept.
const maxRemembered = 128 << 20

// makeMercurial makes the readers of the Mercurial repositories of the configuration, and what follows them.
func (a *App) makeMercurial() error {
	a.mercurial = map[string]*hg.Repo{}
	servers, authorities := hg.NewServers(maxRemembered), map[string]*x509.CertPool{}
	var followed []apphg.Repository
	for _, r := range a.config.Remote {
		if r.Kind != push.Mercurial {
			continue
		}
		repo, err := r.Open(servers, r.URL, authorities)
		if err != nil {
			return fmt.Errorf("app: repository %s: %w", r.Name, err)
		}
		secrets, err := r.secrets()
		if err != nil {
			return fmt.Errorf("app: repository %s: %w", r.Name, err)
		}
		a.mercurial[r.Name] = repo
		followed = append(followed, apphg.Repository{
			Name: r.Name, URL: r.URL, Reader: repo, Branches: r.Branches, Bookmarks: r.Bookmarks, Pushlog: r.Pushlog, Backfill: r.Backfill,
			Every: r.Poll, Secrets: secrets, Keys: r.PulseKeys,
		})
	}
	a.hg = apphg.New(apphg.Deps{Pool: a.pool, Push: a.push, Decide: a.intake.Wake, Repositories: followed, Log: a.config.Log})
	return nil
}

// registerMercurial records the Mercurial repositories of the configuration, with the roles of those whose
// level says what they may do.
func (a *App) registerMercurial(ctx context.Context) error {
	for _, r := range a.config.Remote {
		if r.Kind != push.Mercurial {
			continue
		}
		if _, local := a.repos[r.Name]; local {
			return fault.New(fault.Conflict, "the name %s is that of a repository on this machine, and of a Mercurial repository in the file of repositories", r.Name)
		}
		repository := push.Repository{Name: r.Name, Kind: push.Mercurial, URL: r.URL, Level: r.Level, DefaultBranch: r.DefaultBranch}
		if err := a.push.Register(ctx, repository); err != nil {
			return err
		}
		if r.TrustDomain == "" {
			continue
		}
		if err := a.levelRoles(ctx, repository, r.TrustDomain); err != nil {
			return err
		}
	}
	return nil
}

// levelRoles makes the roles of a repository what its level says, whatever they were: a level that is lowered
// must take away.
func (a *App) levelRoles(ctx context.Context, r push.Repository, domain string) error {
	role := intake.Role(r)
	note := fmt.Sprintf("What a push to %s may do: level %d of %s. Made from the file of repositories at each start; grant more by other roles.", r.Name, r.Level, domain)
	return errors.Join(
		a.auth.EnsureRole(ctx, role+":*", LevelScopes(domain, r.Level, r.Name), note),
		a.auth.EnsureRole(ctx, role+":action:*", levelActionScopes(domain, r.Level), strings.Replace(note, "a push to", "an action on", 1)),
		a.auth.EnsureRole(ctx, role+":cron:*", []string{"hooks:trigger-hook:project-" + domain + "/in-tree-action-" + strconv.Itoa(r.Level) + "-*"}, strings.Replace(note, "a push to", "a job of .cron.yml of", 1)),
	)
}

// LevelScopes are what decisions of a repository may do that has a level of trust in a trust domain: only
// what belongs to the level, and what has no trust (vcs-integration 2.8).
func LevelScopes(domain string, level int, project string) []string {
	n := strconv.Itoa(level)
	return []string{
		"queue:create-task:highest:built-in/decision",
		"queue:create-task:highest:" + domain + "-" + n + "/*",
		"queue:create-task:highest:" + domain + "-t/*", // machines that nobody trusts
		"queue:create-task:project:none",
		"queue:scheduler-id:" + domain + "-level-" + n,
		"queue:route:index." + domain + ".v2." + project + ".*",
		"queue:route:index." + domain + ".cache.level-" + n + ".*",
		"queue:route:tc-treeherder.v2." + project + ".*",
		"index:insert-task:" + domain + ".v2." + project + ".*",
		"index:insert-task:" + domain + ".cache.level-" + n + ".*",
		"docker-worker:cache:" + domain + "-level-" + n + "-*",
		"generic-worker:cache:" + domain + "-level-" + n + "-*",
		"secrets:get:project/" + domain + "/level-" + n + "/*",
		"queue:get-artifact:project/" + domain + "/level-" + n + "/*",
		"in-tree:hook-action:project-" + domain + "/in-tree-action-" + n + "-*",
		"history:read:" + project,
	}
}

func levelActionScopes(domain string, level int) []string {
	of := domain + "-level-" + strconv.Itoa(level) + "/*"
	return []string{"queue:rerun-task:" + of, "queue:cancel-task:" + of}
}

// startMercurial begins to follow the Mercurial repositories.
func (a *App) startMercurial(ctx context.Context) error {
	if len(a.mercurial) == 0 {
		return nil
	}
	if err := a.hg.Start(ctx); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { a.hg.Stop(); return nil })
	if a.config.HgPushes.URL == "" {
		return nil
	}
	listener, err := pulse.NewUserListener(a.config.HgPushes)
	if err != nil {
		return fmt.Errorf("TREELINE_HGPUSHES_URL: %w", err)
	}
	a.untilStop(ctx, func(ctx context.Context) error { return a.hg.Listen(ctx, listener) })
	return nil
}

// mercurialForge is a Mercurial repository as intake sees it.
type mercurialForge struct{ *hg.Repo }

// Tree waits a little for a revision that is not there yet: a server that several machines answer for may
// tell of a push before all have it.
func (f mercurialForge) Tree(ctx context.Context, revision string) (intake.Tree, error) {
	for pause := 500 * time.Millisecond; ; pause *= 2 {
		tree, err := f.Repo.Tree(ctx, revision)
		if !errors.Is(err, fault.NotFound) || pause > 4*time.Second {
			if err != nil {
				return nil, err
			}
			return tree, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, err
		}
	}
}

func (f mercurialForge) Describe(ctx context.Context, revision string) (push.Push, string, error) {
	c, err := f.Repo.Describe(ctx, revision)
	return push.Push{
		Revision: c.Node, Base: c.Base, Author: c.Author, Email: c.Email, Message: c.Message, FilesChanged: c.Files, Time: c.Time,
	}, strconv.FormatInt(c.PushID, 10), err
}
