// Package config reads the graph configuration, config.yml, and answers what the rest of the
// generator asks of it (taskgraph-map 2). A GraphConfig is immutable and safe for concurrent use.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// GraphConfig is the configuration of one tree.
type GraphConfig struct {
	// Root is the directory of config.yml and the kinds, such as "taskcluster" or "ci".
	Root string
	// Values is everything the file says, keys unknown to Treeline included. Not to be written.
	Values map[string]any
	// Warnings are oddities of the file that have a meaning.
	Warnings []*graph.Error
	// File is where it stands.
	File *source.File

	resolver *keyedby.Resolver
	workers  sync.Map // workerKey → workerAnswer
	choices  sync.Map // choiceKey → choiceAnswer
}

// Roots are the directories where a tree may keep its configuration, in order of preference.
func Roots() []string { return []string{"taskcluster", "ci"} }

// FindRoot returns the first of Roots that holds a config.yml.
func FindRoot(tree fs.FS) (string, error) {
	for _, root := range Roots() {
		if _, err := fs.Stat(tree, path.Join(root, "config.yml")); err == nil {
			return root, nil
		}
	}
	return "", &graph.Error{File: path.Join(Roots()[0], "config.yml"), Message: "does not exist, nor does " + path.Join(Roots()[1], "config.yml") + "; a graph needs its configuration"}
}

// Load reads root/config.yml of tree and checks it. All problems are told at once, each as a
// *graph.Error.
func Load(tree fs.FS, root string) (*GraphConfig, error) {
	file, err := source.Read(tree, path.Join(root, "config.yml"))
	if err != nil {
		return nil, err
	}
	values, err := file.Map()
	if err != nil {
		return nil, err
	}
	if values == nil {
		values = map[string]any{}
	}
	problems := schema.Errors(schema.Check(Shape(), values), "", func(at []string, onKey bool) (string, int) {
		return file.Path, file.LineOf(at, onKey)
	})
	if len(problems) > 0 {
		all := make([]error, len(problems))
		for i, p := range problems {
			all[i] = p
		}
		return nil, errors.Join(all...)
	}
	g := &GraphConfig{Root: root, Values: values, File: file, resolver: &keyedby.Resolver{}}
	g.Warnings = append(slices.Clone(file.Warnings), g.lostLevels()...)
	return g, nil
}

// lostLevels warns of a priority chosen by level: only the project is known where it is resolved,
// so that such a choice always takes its default (taskgraph-map 2).
func (g *GraphConfig) lostLevels() []*graph.Error {
	v := g.Values["task-priority"]
	for pending := []any{v}; len(pending) > 0; {
		v, pending = pending[0], pending[1:]
		attribute, arms, ok := value.IsKeyedBy(v)
		if !ok {
			continue
		}
		if attribute == "level" {
			return []*graph.Error{g.File.Root().Key("task-priority").Errorf("task-priority: by-level always takes its default: only the project is known here")}
		}
		m, _ := arms.(map[string]any)
		for _, arm := range m {
			pending = append(pending, arm)
		}
	}
	return nil
}

func (g *GraphConfig) errorf(at []string, format string, args ...any) error {
	return &graph.Error{File: g.File.Path, Line: g.File.LineOf(at, false), Message: fmt.Sprintf(format, args...)}
}

// Resolver is the one all choices of a generation share.
func (g *GraphConfig) Resolver() *keyedby.Resolver { return g.resolver }

// Get returns what stands at the dotted path, nil without it.
func (g *GraphConfig) Get(path string) any { v, _ := value.Get(g.Values, path); return v }

// TrustDomain is the prefix of index routes, cache names and the scheduler's id.
func (g *GraphConfig) TrustDomain() string { return value.String(g.Values, "trust-domain") }

// Priority is the default priority of tasks of project.
func (g *GraphConfig) Priority(project string) (string, error) {
	return g.choose("task-priority", project)
}

// DeadlineAfter is the default time to a task's deadline.
func (g *GraphConfig) DeadlineAfter(project string) (string, error) {
	if g.Values["task-deadline-after"] == nil {
		return "1 day", nil
	}
	return g.choose("task-deadline-after", project)
}

type choiceKey struct{ key, project string }

type choiceAnswer struct {
	text string
	err  error
}

// choose resolves a setting that may be chosen by project.
func (g *GraphConfig) choose(key, project string) (string, error) {
	k := choiceKey{key, project}
	if v, ok := g.choices.Load(k); ok {
		a := v.(choiceAnswer)
		return a.text, a.err
	}
	text, err := g.evaluate(key, project)
	g.choices.Store(k, choiceAnswer{text, err})
	return text, err
}

func (g *GraphConfig) evaluate(key, project string) (string, error) {
	v, err := g.resolver.Evaluate(g.Values[key], "`"+key+"`", value.NameMap{"project": project}, keyedby.Options{})
	if err != nil {
		return "", g.errorf([]string{key}, "%v", err)
	}
	s, ok := v.(string)
	if !ok {
		return "", g.errorf([]string{key}, "%s must be a string for project %q, not %s", key, project, value.Kind(v))
	}
	return s, nil
}

// ExpiresAfter is the configured default life of what tasks make ("28 days" without one). It
// holds for level 1; the callers know what the other levels get.
func (g *GraphConfig) ExpiresAfter() string {
	if s := value.String(g.Values, "task-expires-after"); s != "" {
		return s
	}
	return "28 days"
}

// DockerImageKind is the kind whose tasks define docker images.
func (g *GraphConfig) DockerImageKind() string {
	if s := value.String(g.Values, "docker-image-kind"); s != "" {
		return s
	}
	return "docker-image"
}

// CachePrefix is the index prefix of cached tasks.
func (g *GraphConfig) CachePrefix() string {
	if s := value.String(value.Map(g.Values, "taskgraph"), "cached-task-prefix"); s != "" {
		return s
	}
	return g.TrustDomain()
}

// CachePullRequests reports whether tasks of pull requests use the cache index.
func (g *GraphConfig) CachePullRequests() bool {
	v, ok := value.Map(g.Values, "taskgraph")["cache-pull-requests"].(bool)
	return !ok || v
}

// UseCaches is the default of run.use-caches: a bool or a list of cache names.
func (g *GraphConfig) UseCaches() any {
	if v := value.Map(value.Map(g.Values, "taskgraph"), "run")["use-caches"]; v != nil {
		return v
	}
	return []any{"checkout"}
}

// DisabledActions are the names of actions that are not offered.
func (g *GraphConfig) DisabledActions() []string {
	list, _ := value.Strings(value.Map(g.Values, "taskgraph")["disabled-actions"])
	return list
}

// IndexPathRegexes summarise scopes for index paths.
func (g *GraphConfig) IndexPathRegexes() []string {
	list, _ := value.Strings(value.Map(g.Values, "taskgraph")["index-path-regexes"])
	return list
}

// HasTreeherder reports whether the tree says anything about Treeherder.
func (g *GraphConfig) HasTreeherder() bool { _, ok := g.Values["treeherder"]; return ok }

// GroupName is the name of a Treeherder group; ok is false for one without a name.
func (g *GraphConfig) GroupName(symbol string) (name string, ok bool) {
	name, ok = value.Map(value.Map(g.Values, "treeherder"), "group-names")[symbol].(string)
	return name, ok
}

// IndexProducts are the products that tasks may be indexed under.
func (g *GraphConfig) IndexProducts() []string {
	list, _ := value.Strings(value.Map(g.Values, "index")["products"])
	return list
}

// Repository is a repository that tasks may check out.
type Repository struct {
	Prefix, Name                            string
	BaseRepository, HeadRepository, HeadRef string
	HeadRev                                 string // "" for all but the one pushed to
	Type, Path, SSHSecretName               string
}

// Repositories returns the repositories, the one that p speaks of first, the others in the
// order of the file.
func (g *GraphConfig) Repositories(p *params.Parameters) ([]Repository, error) {
	at := []string{"taskgraph", "repositories"}
	declared, _ := value.Get(g.Values, "taskgraph.repositories")
	repos, _ := declared.(map[string]any)
	prefixes := g.File.Root().Child("taskgraph").Child("repositories").Keys()
	current, err := g.currentRepository(prefixes, repos, p.String("project"))
	if err != nil {
		return nil, err
	}
	r, _ := repos[current].(map[string]any)
	out := []Repository{{
		Prefix: current, Name: value.String(r, "name"),
		BaseRepository: p.String("base_repository"), HeadRepository: p.String("head_repository"),
		HeadRef: p.String("head_ref"), HeadRev: p.String("head_rev"), Type: p.String("repository_type"),
		SSHSecretName: value.String(r, "ssh-secret-name"),
	}}
	for _, prefix := range prefixes {
		if prefix == current {
			continue
		}
		r, _ := repos[prefix].(map[string]any)
		for _, key := range []string{"default-repository", "default-ref", "type"} {
			if value.String(r, key) == "" {
				return nil, g.errorf(append(at, prefix), "the repository %q lacks %q, which every repository but the one pushed to needs", prefix, key)
			}
		}
		out = append(out, Repository{
			Prefix: prefix, Name: value.String(r, "name"),
			BaseRepository: value.String(r, "default-repository"), HeadRepository: value.String(r, "default-repository"),
			HeadRef: value.String(r, "default-ref"), Type: value.String(r, "type"), SSHSecretName: value.String(r, "ssh-secret-name"),
		})
	}
	return out, nil
}

func (g *GraphConfig) currentRepository(prefixes []string, repos map[string]any, project string) (string, error) {
	if len(prefixes) == 1 {
		return prefixes[0], nil
	}
	var matching []string
	for _, prefix := range prefixes {
		r, _ := repos[prefix].(map[string]any)
		expression := value.String(r, "project-regex")
		if expression == "" {
			return "", g.errorf([]string{"taskgraph", "repositories", prefix}, "the repository %q lacks \"project-regex\", needed when there are several", prefix)
		}
		ok, err := g.resolver.MatchStart(expression, project)
		if err != nil {
			return "", g.errorf([]string{"taskgraph", "repositories", prefix, "project-regex"}, "%v", err)
		}
		if ok {
			matching = append(matching, prefix)
		}
	}
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return "", g.errorf([]string{"taskgraph", "repositories"}, "no repository has a project-regex that matches the project %q", project)
	}
	return "", g.errorf([]string{"taskgraph", "repositories"}, "several repositories match the project %q: %s", project, strings.Join(matching, ", "))
}
