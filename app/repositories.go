package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

// Repository is a repository as an operator describes it: a Mercurial repository, or what is to be added to
// what Treeline knows of another (docs/reference/repositories.md).
type Repository struct {
	Name          string `yaml:"name"`
	Kind          string `yaml:"kind"` // "hg"; "" for a repository that is known without it
	URL           string `yaml:"url"`
	Level         int    `yaml:"level"`          // of a Mercurial repository; 1 when 0
	DefaultBranch string `yaml:"default-branch"` // of a Mercurial repository; "default" when ""

	CronBranches []string `yaml:"cron-branches"` // whose .cron.yml is followed; the default branch when empty
	Owner        string   `yaml:"owner"`         // who gets mail about what goes wrong; the author of the head does too

	Fingerprints []string `yaml:"fingerprints"` // SHA-256 of the certificates that the server may show
	CAFile       string   `yaml:"ca-file"`      // who may have signed its certificate, in place of the machine's list
}

// LoadRepositories reads a file of repositories. Unknown settings are errors; the path "" is no file.
func LoadRepositories(path string) ([]Repository, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("app: repositories: %w", err)
	}
	list, err := parseRepositories(text)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "app: repositories in %s", path)
	}
	return list, nil
}

func parseRepositories(text []byte) ([]Repository, error) {
	var file struct {
		Repositories []Repository `yaml:"repositories"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var problems []error
	seen := map[string]bool{}
	for i := range file.Repositories {
		r := &file.Repositories[i]
		if err := r.check(); err != nil {
			problems = append(problems, fmt.Errorf("repository %d, %q: %w", i+1, r.Name, err))
		}
		if seen[r.Name] {
			problems = append(problems, fmt.Errorf("repository %d: there is a %q already", i+1, r.Name))
		}
		seen[r.Name] = true
	}
	return file.Repositories, errors.Join(problems...)
}

// check fills defaults.
func (r *Repository) check() error {
	switch {
	case r.Name == "":
		return errors.New("it has no name")
	case r.Kind == "" && (r.URL != "" || r.Level != 0 || r.DefaultBranch != "" || len(r.Fingerprints) > 0 || r.CAFile != ""):
		return errors.New("url, level, default-branch, fingerprints and ca-file are for a repository with kind: hg; without kind, only cron-branches and owner can be given")
	case r.Kind != "" && r.Kind != push.Mercurial:
		return fmt.Errorf("kind %q is not known; it can be hg, or be left out for a repository that Treeline knows otherwise", r.Kind)
	case r.Level < 0 || r.Level > 3:
		return fmt.Errorf("level %d is not 1, 2 or 3", r.Level)
	case r.Kind == "":
		return nil
	}
	if r.Level == 0 {
		r.Level = 1
	}
	if r.DefaultBranch == "" {
		r.DefaultBranch = "default"
	}
	_, err := r.open()
	return err
}

// open makes the reader of a Mercurial repository.
func (r *Repository) open() (*hg.Repo, error) {
	o := hg.Options{Fingerprints: r.Fingerprints}
	if r.CAFile != "" {
		text, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca-file: %w", err)
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca-file %s holds no certificate in PEM", r.CAFile)
		}
	}
	return hg.Open(r.URL, o)
}

// makeMercurial makes the readers of the Mercurial repositories of the configuration.
func (a *App) makeMercurial() error {
	a.mercurial = map[string]*hg.Repo{}
	for _, r := range a.config.Remote {
		if r.Kind != push.Mercurial {
			continue
		}
		repo, err := r.open()
		if err != nil {
			return fmt.Errorf("app: repository %s: %w", r.Name, err)
		}
		a.mercurial[r.Name] = repo
	}
	return nil
}

// registerMercurial records the Mercurial repositories of the configuration.
func (a *App) registerMercurial(ctx context.Context) error {
	for _, r := range a.config.Remote {
		if r.Kind != push.Mercurial {
			continue
		}
		if _, local := a.repos[r.Name]; local {
			return fault.New(fault.Conflict, "the name %s is that of a repository on this machine, and of a Mercurial repository in the file of repositories", r.Name)
		}
		err := a.push.Register(ctx, push.Repository{Name: r.Name, Kind: push.Mercurial, URL: r.URL, Level: r.Level, DefaultBranch: r.DefaultBranch})
		if err != nil {
			return err
		}
	}
	return nil
}

// described is what the configuration says of a repository.
func (a *App) described(r push.Repository) Repository {
	i := slices.IndexFunc(a.config.Remote, func(d Repository) bool { return d.Name == r.Name })
	if i < 0 {
		return Repository{Name: r.Name}
	}
	return a.config.Remote[i]
}

// mercurialForge is a Mercurial repository as intake sees it.
type mercurialForge struct{ *hg.Repo }

func (f mercurialForge) Tree(ctx context.Context, revision string) (intake.Tree, error) {
	return f.Repo.Tree(ctx, revision)
}

func (f mercurialForge) Describe(ctx context.Context, revision string) (push.Push, string, error) {
	c, err := f.Repo.Describe(ctx, revision)
	return push.Push{
		Revision: c.Node, Base: c.Base, Author: c.Author, Email: c.Email, Message: c.Message, FilesChanged: c.Files, Time: c.Time,
	}, strconv.FormatInt(c.PushID, 10), err
}
