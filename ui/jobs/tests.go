package jobs

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	manifests    = "public/manifests-by-task.json.gz" // of a decision: which tests each task runs
	maxManifests = 256 << 20                          // bytes, unpacked
)

// tests names the tasks of a push that run tests with one of the given texts in their paths.
func (ps *Pages) tests(v *page.Visit) (any, error) {
	group, paths := v.R.PathValue("group"), v.R.URL.Query()["path"]
	if !slug.Valid(group) {
		return nil, page.ErrNoPage
	}
	if err := v.Allow(scope.String("queue:get-artifact:" + manifests)); err != nil {
		return nil, err
	}
	body, err := ps.open(v.R.Context(), group, manifests)
	if errors.Is(err, fault.NotFound) {
		return map[string][]string{"names": {}}, nil // it says nothing of tests
	}
	if err != nil {
		return nil, err
	}
	names, err := running(body, paths)
	if err := cmp.Or(err, body.Close()); err != nil {
		return nil, err
	}
	return map[string][]string{"names": names}, nil
}

// running reads who runs what, and names those that run one of the paths.
func running(packed io.Reader, paths []string) ([]string, error) {
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is not packed: %v", manifests, err)
	}
	var of map[string][]string
	if err := json.NewDecoder(io.LimitReader(plain, maxManifests)).Decode(&of); err != nil {
		return nil, fmt.Errorf("ui: %s: %w", manifests, fault.New(fault.Invalid, "%s is no list of tests by task: %v", manifests, err))
	}
	names := []string{}
	for name, list := range of {
		if slices.ContainsFunc(list, func(test string) bool {
			return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(test, p) })
		}) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
