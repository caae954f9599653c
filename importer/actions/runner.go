package actions

import (
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
)

// labels are those of a job's runs-on, with its group behind them; nil when they are not known.
func (f *flow) labels(j *job, sc *expr.Scope) []string {
	v, ok := f.resolve(j.n.At("runs-on"), sc)
	if !ok {
		return nil
	}
	texts := func(v any) []string {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		var out []string
		for _, x := range list {
			if t := expr.Text(x); t != "" {
				out = append(out, t)
			}
		}
		return out
	}
	if m, isMap := v.(map[string]any); isMap {
		return append(texts(m["labels"]), texts(m["group"])...)
	}
	return texts(v)
}

// runner is what the context runner has before anything runs, for a job with such labels.
func runner(labels []string) map[string]any {
	return map[string]any{"os": runnerOS(labels), "arch": runnerArch(labels), "environment": "self-hosted", "debug": ""}
}

func runnerOS(labels []string) string {
	if len(labels) == 0 {
		return "Linux" // as place chooses
	}
	_, system := alias(labels)
	return map[string]string{"linux": "Linux", "windows": "Windows", "macosx": "macOS"}[system]
}

var arm = regexp.MustCompile(`(^|[^a-z])(arm|aarch)`)

// intelMac are the labels of GitHub's machines of macOS with Intel's processors; the others have Apple's.
var intelMac = regexp.MustCompile(`^macos-(1[0-3]|.*-(large|intel))$`)

func runnerArch(labels []string) string {
	all := strings.ToLower(strings.Join(labels, " "))
	switch {
	case strings.Contains(all, "x64") || strings.Contains(all, "x86_64"):
		return "X64"
	case arm.MatchString(all):
		return "ARM64"
	case len(labels) == 1 && macos.MatchString(all) && !intelMac.MatchString(all):
		return "ARM64"
	}
	return "X64"
}
