package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

// Repository is a repository as an operator describes it: a Mercurial repository, or what is to be added to
// what Treeline knows of another (docs/reference/repositories.md).
type Repository struct {
	Name          string `yaml:"name"`
	Kind          string `yaml:"kind"` // "hg"; "" for a repository that is known without it
	URL           string `yaml:"url"`
	Level         int    `yaml:"level"`          // trust; when 0, 1 in Mercurial and 3 elsewhere
	DefaultBranch string `yaml:"default-branch"` // of a Mercurial repository; "default" when ""

	Mercurial `yaml:",inline"`

	CronBranches []string `yaml:"cron-branches"` // whose .cron.yml is followed; the default branch when empty
	TryBranches  []string `yaml:"try-branches"`  // patterns of branches that anybody may push to; their level is 1
	Owner        string   `yaml:"owner"`         // who gets mail about what goes wrong; the author of the head does too
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
	var places struct {
		Repositories []yaml.Node `yaml:"repositories"`
	}
	if err := yaml.Unmarshal(text, &places); err != nil {
		return nil, err
	}
	var problems []error
	seen := map[string]bool{}
	for i := range file.Repositories {
		r := &file.Repositories[i]
		if err := r.check(); err != nil {
			problems = append(problems, fmt.Errorf("line %d: repository %q: %w", places.Repositories[i].Line, r.Name, err))
		}
		if seen[r.Name] {
			problems = append(problems, fmt.Errorf("line %d: there is a repository %q already; give this one another name", places.Repositories[i].Line, r.Name))
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
	case r.Kind == "" && (r.URL != "" || r.DefaultBranch != "" || !reflect.ValueOf(r.Mercurial).IsZero()):
		return errors.New("url, default-branch and the like are for a repository with kind: hg; without kind, only level, cron-branches, try-branches and owner can be given")
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
	return r.Mercurial.check(r.URL)
}

// levelOf is the trust of a repository that is not described as one of Mercurial's: whoever may write to it owns it,
// unless the configuration says otherwise.
func (a *App) levelOf(name string) int {
	if d := a.described(push.Repository{Name: name}); d.Level != 0 {
		return d.Level
	}
	return 3
}

// relevel gives repositories at GitHub the levels that the configuration has now.
func (a *App) relevel(ctx context.Context) error {
	list, err := a.push.Repositories(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if level := a.levelOf(r.Name); r.Kind == push.GitHub && r.Level != level {
			r.Level = level
			if err := a.push.Register(ctx, r); err != nil {
				return err
			}
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
