package transform

import (
	"errors"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// SourceURL is the address at which people can read path of the head revision. Repositories
// that no web server is known to show get an address that at least names repository, revision
// and path.
func (s *Shared) SourceURL(path string) string {
	repo, rev := s.Params.String("head_repository"), s.Params.String("head_rev")
	if s.Params.String("repository_type") == "hg" {
		return repo + "/file/" + rev + "/" + path
	}
	if name, ok := strings.CutPrefix(repo, "git@github.com:"); ok {
		return "https://github.com/" + strings.TrimSuffix(name, ".git") + "/blob/" + rev + "/" + path
	}
	repo = strings.TrimSuffix(repo, "/")
	switch {
	case strings.HasPrefix(repo, "https://github.com/"):
		return repo + "/blob/" + rev + "/" + path
	case strings.HasPrefix(repo, "https://gitlab."):
		return strings.TrimSuffix(repo, ".git") + "/-/blob/" + rev + "/" + path
	case strings.HasPrefix(repo, "https://"), strings.HasPrefix(repo, "http://"):
		return strings.TrimSuffix(repo, ".git") + "/blob/" + rev + "/" + path
	case strings.HasPrefix(repo, "ssh://"), strings.HasPrefix(repo, "git@"):
		return repo + "#" + rev + ":" + path
	}
	return "git@localhost:" + strings.TrimPrefix(repo, "file://") + "#" + rev + ":" + path
}

// IsPullRequest reports whether the event is a pull request of any kind.
func (s *Shared) IsPullRequest() bool {
	return strings.HasPrefix(s.Params.String("tasks_for"), "github-pull-request")
}

// BuildDateLong is the build date as index routes write it.
func (s *Shared) BuildDateLong() string {
	return time.Unix(s.Params.Int("build_date"), 0).UTC().Format("2006.01.02.20060102150405")
}

// DefaultExpiry is how long tasks and artifacts live that say nothing: what the configuration
// says at level 1, a year above.
func (s *Shared) DefaultExpiry() string {
	if s.Level() == "1" {
		return s.Graph.ExpiresAfter()
	}
	return "1 year"
}

// ArtifactPrefix is where a task publishes its artifacts, from its attributes.
func ArtifactPrefix(attributes map[string]any) string {
	if p := value.String(attributes, "artifact_prefix"); p != "" {
		return p
	}
	return "public/build"
}

// WarnAt reports an oddity of the item that has a meaning; in strict generations it is an error.
func (s *Shared) WarnAt(it *Item, path, format string, args ...any) {
	err := it.Errorf(path, format, args...)
	if s.Strict {
		it.Fail(err)
		return
	}
	var e *graph.Error
	if errors.As(err, &e) && s.Warn != nil {
		s.Warn(e)
	}
}

// WarnOfMissing is the keyedby.Options.Missing of what stands at path in the item.
func (s *Shared) WarnOfMissing(it *Item, path string) func(attribute string) {
	return func(attribute string) {
		s.WarnAt(it, path, "by-%s takes its default: nothing here is called %q", attribute, attribute)
	}
}

// Pair is the mapping {key: text}. Equal ones are one mapping, shared by all tasks: nobody may
// write to it.
func (s *Shared) Pair(key, text string) map[string]any {
	k := pairKey{key, text}
	s.pairsMu.RLock()
	m, ok := s.pairs[k]
	s.pairsMu.RUnlock()
	if ok {
		return m
	}
	s.pairsMu.Lock()
	defer s.pairsMu.Unlock()
	if m, ok := s.pairs[k]; ok {
		return m
	}
	if s.pairs == nil {
		s.pairs = map[pairKey]map[string]any{}
	}
	m = map[string]any{key: text}
	s.pairs[k] = m
	return m
}

type pairKey struct{ key, text string }

type repositoriesOf struct{}

// Repositories are those of the configuration, as the parameters fill them. The caller must not
// change the slice.
func (s *Shared) Repositories() ([]config.Repository, error) {
	v, err := s.Memo(repositoriesOf{}, "", func() (any, error) { return s.Graph.Repositories(s.Params) })
	if err != nil {
		return nil, err
	}
	return v.([]config.Repository), nil
}
