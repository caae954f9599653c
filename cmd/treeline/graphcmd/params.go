package graphcmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	local       func(ctx context.Context) (params.Facts, error)
}

const parametersHelp = `
Parameters come from --parameters SPEC, which is a file (YAML or JSON, gzip or not), a directory of
such files, - for standard input, an http(s) URL, task-id=ID (a decision task's parameters.yml),
index=NAMESPACE (the same of the task found there) or project=NAME (its latest decision). Without it
they describe the checkout in the current directory. Several give one result each.`

// read gives the sets of all specs; without any, the set of the local checkout.
func (s parameterSource) read(ctx context.Context, specs []string) ([]parameterSet, error) {
	if len(specs) == 0 {
		facts, err := s.local(ctx)
		if err != nil {
			return nil, err
		}
		p, err := params.FromMap(params.Defaults(facts), s.strict)
		if err != nil {
			return nil, err
		}
		return []parameterSet{{name: "local", params: p}}, nil
	}
	var out []parameterSet
	for _, spec := range specs {
		sets, err := s.spec(ctx, spec)
		if err != nil {
			return nil, err
		}
		out = append(out, sets...)
	}
	return out, nil
}

func (s parameterSource) spec(ctx context.Context, spec string) ([]parameterSet, error) {
	if info, err := os.Stat(spec); err == nil && info.IsDir() {
		return s.directory(ctx, spec)
	}
	src, err := s.bytes(ctx, spec)
	if err != nil {
		return nil, err
	}
	values, err := params.Decode(spec, src)
	if err != nil {
		return nil, err
	}
	if !s.strict {
		facts, err := s.local(ctx)
		if err != nil {
			return nil, err
		}
		for key, v := range params.Defaults(facts) {
			if _, has := values[key]; !has {
				values[key] = v
			}
		}
	}
	p, err := params.FromMap(values, s.strict)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return []parameterSet{{name: setName(spec), params: p}}, nil
}

// directory gives the set of each parameters file in dir, sorted by name.
func (s parameterSource) directory(ctx context.Context, dir string) ([]parameterSet, error) {
	var files []string
	for _, pattern := range []string{"*.yml", "*.yaml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("parameters: %s holds no .yml and no .json file", dir)
	}
	slices.Sort(files)
	var out []parameterSet
	for _, f := range files {
		sets, err := s.spec(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, sets...)
	}
	return out, nil
}

// setName is the base name without extension, or the spec itself.
func setName(spec string) string {
	if strings.Contains(spec, "=") {
		return strings.NewReplacer("/", "-", "=", "-").Replace(spec)
	}
	base := filepath.Base(spec)
	return strings.TrimSuffix(strings.TrimSuffix(base, ".gz"), filepath.Ext(strings.TrimSuffix(base, ".gz")))
}

func (s parameterSource) bytes(ctx context.Context, spec string) ([]byte, error) {
	kind, what, ok := strings.Cut(spec, "=")
	switch {
	case spec == "-":
		return io.ReadAll(io.LimitReader(os.Stdin, maxParameters))
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

func ofURL(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("parameters: %s answers %s", address, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxParameters))
}
