package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// maxParameters bounds a parameters file that comes over the network.
const maxParameters = 64 << 20

// parameterSet is one generation asked for: its parameters and the name that stands in the names
// of output files.
type parameterSet struct {
	name   string
	params *params.Parameters
}

// parameterSource reads what --parameters names (taskgraph-map 12.2).
type parameterSource struct {
	strict      bool
	trustDomain string // for project=NAME
	own         params.Own
	stdin       io.Reader
	local       func(ctx context.Context) params.Facts
}

const parametersHelp = `
Parameters come from --parameters SPEC, which is a file (YAML or JSON, gzip or not), a directory of
such files, - for standard input, an http(s) URL, task-id=ID (a decision task's parameters.yml),
index=NAMESPACE (the same of the task found there) or project=NAME (its latest decision). Without it
they describe the checkout in the current directory, which also fills what a set leaves out. Several
give one result each.`

// localName is the name of the set that describes the checkout.
const localName = "defaults"

// read gives the sets of all specs; without any, the set of the local checkout. What is wrong with
// several of them is told together. Names differ from each other.
func (s parameterSource) read(ctx context.Context, specs []string) ([]parameterSet, error) {
	o := params.Options{Strict: s.strict, Own: s.own}
	if !s.strict || len(specs) == 0 {
		o.Defaults = params.Defaults(s.local(ctx))
	}
	if len(specs) == 0 {
		values := maps.Clone(o.Defaults)
		for name, r := range s.own {
			values[name] = r.Default
		}
		p, err := params.New(values, o)
		if err != nil {
			return nil, err
		}
		return []parameterSet{{name: localName, params: p}}, nil
	}
	files, err := expand(specs)
	if err != nil {
		return nil, err
	}
	var out []parameterSet
	var errs []error
	seen := map[string]int{}
	for _, spec := range files {
		p, err := s.one(ctx, spec, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := setName(spec)
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name])
		}
		out = append(out, parameterSet{name: name, params: p})
	}
	return out, errors.Join(errs...)
}

func (s parameterSource) one(ctx context.Context, spec string, o params.Options) (*params.Parameters, error) {
	src, err := s.bytes(ctx, spec)
	if err != nil {
		return nil, err
	}
	return params.LoadWith(spec, src, o)
}

// expand puts the parameters files of a directory in its place, sorted by name.
func expand(specs []string) ([]string, error) {
	var out []string
	for _, spec := range specs {
		info, err := os.Stat(spec)
		if err != nil || !info.IsDir() {
			out = append(out, spec)
			continue
		}
		entries, err := os.ReadDir(spec)
		if err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
		before := len(out)
		for _, e := range entries {
			ext := filepath.Ext(strings.TrimSuffix(e.Name(), ".gz"))
			if !e.IsDir() && (ext == ".yml" || ext == ".yaml" || ext == ".json") {
				out = append(out, filepath.Join(spec, e.Name()))
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("parameters: %s holds no .yml and no .json file", spec)
		}
	}
	return out, nil
}

// setName is the base name without extension, of the path for a URL, or the spec itself.
func setName(spec string) string {
	u, err := url.Parse(spec)
	remote := err == nil && (u.Scheme == "http" || u.Scheme == "https")
	switch {
	case spec == "-":
		return "stdin"
	case remote:
		spec = u.Path
	case strings.HasPrefix(spec, "task-id="), strings.HasPrefix(spec, "index="), strings.HasPrefix(spec, "project="):
		return strings.ReplaceAll(spec, "/", "-") // the name becomes part of a file's
	}
	base := strings.TrimSuffix(filepath.Base(spec), ".gz")
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func (s parameterSource) bytes(ctx context.Context, spec string) ([]byte, error) {
	kind, what, ok := strings.Cut(spec, "=")
	switch {
	case spec == "-":
		return io.ReadAll(io.LimitReader(s.stdin, maxParameters))
	case ok && kind == "task-id":
		return ofTask(ctx, what)
	case ok && kind == "index":
		return ofIndex(ctx, what)
	case ok && kind == "project":
		if s.trustDomain == "" {
			return nil, fmt.Errorf("parameters %s: config.yml names no trust-domain", spec)
		}
		return ofIndex(ctx, fmt.Sprintf("%s.v2.%s.latest.taskgraph.decision", s.trustDomain, what))
	case strings.HasPrefix(spec, "http://"), strings.HasPrefix(spec, "https://"):
		return ofURL(ctx, spec)
	}
	b, err := os.ReadFile(spec)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w (a SPEC may also be a directory, a URL, task-id=, index= or project=)", err)
	}
	return b, nil
}

// ofTask reads the parameters that a decision task published.
func ofTask(ctx context.Context, taskID string) ([]byte, error) {
	c, err := client.FromEnv(nil)
	if err != nil {
		return nil, fmt.Errorf("parameters task-id=%s: %w", taskID, err)
	}
	return ofURL(ctx, c.URL("queue", client.Path("task", taskID, "artifacts")+"/public/parameters.yml", nil))
}

// ofIndex reads the parameters of the decision task that is indexed at namespace.
func ofIndex(ctx context.Context, namespace string) ([]byte, error) {
	c, err := client.FromEnv(nil)
	if err != nil {
		return nil, fmt.Errorf("parameters index=%s: %w", namespace, err)
	}
	found, err := c.FindTask(ctx, namespace)
	if err != nil {
		return nil, fmt.Errorf("parameters index=%s: %w", namespace, err)
	}
	return ofTask(ctx, found.TaskID)
}

// fetchAttempts is how often a file is asked for when the network or the server is not well.
const fetchAttempts = 3

func ofURL(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.ErrorHandler = nil, fetchAttempts-1, 200*time.Millisecond, retryablehttp.PassthroughErrorHandler
	resp, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("parameters: %s answers %s", address, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxParameters))
}
