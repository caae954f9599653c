package templates

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// GraphDiff says what the check "task graph" of a pull request compares.
type GraphDiff struct {
	Off bool // there is no such check
	// Parameters are patterns of parameters files in the tree, or the names of events; none means both events that
	// a pull request leads to.
	Parameters []string
	Stage      string // full, target-graph or optimized; "" for target-graph
}

// readGraphDiff reads treeline.graphDiff: false, or a mapping.
func (f *File) readGraphDiff(in *jsone.Object) error {
	v, ok := in.Get("graphDiff")
	if !ok {
		return nil
	}
	complain := func(key, format string, args ...any) error {
		at := strings.Trim("treeline.graphDiff."+key, ".")
		return f.complain(f.lineOf(strings.Split(at, ".")...), at, format, args...)
	}
	if on, ok := v.(bool); ok {
		f.Extras.GraphDiff.Off = !on
		return nil
	}
	o, ok := v.(*jsone.Object)
	if !ok {
		return complain("", "graphDiff must be false, or a mapping with parameters or stage")
	}
	if err := f.checkKeys(o, steps("treeline", "graphDiff"), "treeline.graphDiff", "parameters", "stage"); err != nil {
		return err
	}
	if v, ok := o.Get("stage"); ok {
		stages := []string{"full", "target-graph", "optimized"}
		stage, _ := v.(string)
		if !slices.Contains(stages, stage) {
			return complain("stage", "stage must be one of %s", strings.Join(stages, ", "))
		}
		f.Extras.GraphDiff.Stage = stage
	}
	v, ok = o.Get("parameters")
	if !ok {
		return nil
	}
	list, isList := v.([]any)
	if !isList || len(list) == 0 {
		return complain("parameters", "parameters must be a list of files such as taskcluster/params/*.yml, or of github-pull-request and github-push")
	}
	for i, item := range list {
		pattern, isText := item.(string)
		if _, err := path.Match(pattern, ""); err != nil || !isText || pattern == "" || path.IsAbs(pattern) || slices.Contains(strings.Split(pattern, "/"), "..") {
			return complain("parameters", "parameters[%d] must be a pattern of files of this repository, such as taskcluster/params/*.yml, not %s", i, fmt.Sprintf("%.80q", fmt.Sprint(item)))
		}
		f.Extras.GraphDiff.Parameters = append(f.Extras.GraphDiff.Parameters, pattern)
	}
	return nil
}
