package target

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Methods for pushes to try.
const (
	tryMethod = "try_tasks"
	tryAuto   = "try_auto"
)

// Modes of the parameter try_mode.
const (
	TryTaskConfig   = "try_task_config"   // the file names the tasks
	TryOptionSyntax = "try_option_syntax" // the line "try:" of the commit message selects them
)

func (in Input) warn(file string, line int, format string, args ...any) {
	if in.Warn != nil {
		in.Warn(&graph.Error{File: file, Line: line, Message: fmt.Sprintf(format, args...)})
	}
}

// tryMethod is the method try_tasks: what the push itself says.
func (in Input) tryMethod() (method, error) {
	switch mode := in.Params.String("try_mode"); mode {
	case TryTaskConfig:
		return in.listed()
	case TryOptionSyntax:
		return in.bySyntax()
	case "":
		return func(t *graph.Task) (verdict, error) {
			return verdict{rule: "the push to try names no tasks (an empty try); add them on its page", wants: in.wantsDefault(t)}, nil
		}, nil
	default:
		return nil, fmt.Errorf("parameter try_mode: %q is not known to the method %s (known: %s, %s, or null)", mode, tryMethod, TryTaskConfig, TryOptionSyntax)
	}
}

// listed selects the labels of try_task_config.json; one that ends in "-*" means every numbered chunk.
func (in Input) listed() (method, error) {
	settings, _ := in.Params.Get(tryconfig.Parameter).(map[string]any)
	names, ok := value.Strings(settings["tasks"])
	if settings["tasks"] != nil && !ok {
		return nil, fmt.Errorf("parameter %s: tasks must be a list of labels", tryconfig.Parameter)
	}
	env := value.Map(settings, "env")
	onlyFirst := env["MOZHARNESS_TEST_PATHS"] != nil || env["MOZHARNESS_TEST_TAG"] != nil // one chunk runs all that is asked for
	by := map[string]string{}
	var missing []string
	chunks := chunksOf(in.Full)
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, "-*"); ok {
			found := chunks[base]
			for _, label := range found {
				if !onlyFirst || strings.HasSuffix(label, "-1") {
					by[label] = name
				}
			}
			if len(found) == 0 {
				missing = append(missing, name)
			}
		} else if in.Full.Has(name) {
			by[name] = name
		} else {
			missing = append(missing, name)
		}
	}
	in.warnMissing(missing)
	return func(t *graph.Task) (verdict, error) {
		if name, ok := by[t.Label]; ok {
			return verdict{kept: true, rule: tryconfig.Name + " lists it", input: name}, nil
		}
		return verdict{rule: tryconfig.Name + " does not list it", wants: in.wantsDefault(t)}, nil
	}, nil
}

// maxMissing is how many labels that are not there are told one by one.
const maxMissing = 20

// warnMissing tells of labels that the graph does not have; the others are selected all the same.
func (in Input) warnMissing(missing []string) {
	slices.Sort(missing)
	missing = slices.Compact(missing)
	for i, name := range missing {
		if i == maxMissing {
			in.warn(tryconfig.Name, 0, "%d further labels are not in the graph and were left out", len(missing)-i)
			return
		}
		hint := ""
		if near := graph.Nearest(name, in.Full.Keys()); near != "" {
			hint = fmt.Sprintf("; is %q meant?", near)
		}
		in.warn(tryconfig.Name, 0, "there is no task %q in the graph; it was left out%s", name, hint)
	}
}

// chunksOf gives the labels that end in a number by what stands before it.
func chunksOf(full *graph.Graph) map[string][]string {
	out := map[string][]string{}
	for _, label := range full.Keys() {
		if base, ok := ChunkBase(label); ok {
			out[base] = append(out[base], label)
		}
	}
	return out
}

// ChunkBase is what stands before the number of a chunk at the end of a label; ok is false when the label
// has none.
func ChunkBase(label string) (base string, ok bool) {
	i := strings.LastIndexByte(label, '-')
	if i < 1 || i == len(label)-1 || strings.Trim(label[i+1:], "0123456789") != "" {
		return "", false
	}
	return label[:i], true
}

// bySyntax selects by the line "try:" of the commit message.
func (in Input) bySyntax() (method, error) {
	said, _ := in.Params.Get("try_options").(map[string]any)
	options, err := trysyntax.FromParameters(said)
	if err != nil {
		return nil, err
	}
	riders := map[string][]string{}
	for platform, list := range value.Map(value.Map(in.GraphConfig, "try"), "ridealong-builds") {
		riders[platform], _ = value.Strings(list)
	}
	s, err := trysyntax.NewSelector(options, in.Full, trysyntax.Context{RidealongBuilds: riders, Project: in.Params.String("project")})
	if err != nil {
		return nil, err
	}
	any := false
	for _, t := range in.Full.All() {
		any = any || s.Answer(t).Selected
	}
	for _, n := range s.Notes() {
		in.warn(n.File, n.Line, "%s", n.Message)
	}
	if !any {
		in.warn(trysyntax.Place, options.Line(), "try: nothing is selected: builds need -b o or -b d, jobs -j NAME")
	}
	return func(t *graph.Task) (verdict, error) {
		a := s.Answer(t)
		v := verdict{kept: a.Selected, rule: a.Rule, input: a.Part}
		if !a.Selected {
			v.wants = in.wantsDefault(t)
		}
		return v, nil
	}, nil
}

// tryAuto is the filter and method try_auto: what the method default selects, for the project that
// try.auto-project of config.yml names, less what try.uncommon-tasks and tasks-regex leave out.
func (in Input) tryAuto(b *branches) (method, error) {
	said := value.Map(in.GraphConfig, "try")
	as := in
	if project := value.String(said, "auto-project"); project != "" {
		p, err := in.Params.With("project", project)
		if err != nil {
			return nil, err
		}
		as.Params = p
	}
	uncommon, err := expressions("config.yml: try.uncommon-tasks", said["uncommon-tasks"])
	if err != nil {
		return nil, err
	}
	settings, _ := in.Params.Get(tryconfig.Parameter).(map[string]any)
	regex := value.Map(settings, "tasks-regex")
	include, err := expressions("tasks-regex include", regex["include"])
	if err != nil {
		return nil, err
	}
	exclude, err := expressions("tasks-regex exclude", regex["exclude"])
	if err != nil {
		return nil, err
	}
	def := as.defaultMethod(b)
	return func(t *graph.Task) (verdict, error) {
		if v, err := def(t); err != nil || !v.kept {
			return v, err
		}
		if re := first(uncommon, t.Label); re != "" {
			return verdict{rule: "try.uncommon-tasks of config.yml leaves it out", input: re}, nil
		}
		in := first(include, t.Label)
		if len(include) > 0 && in == "" {
			return verdict{rule: "tasks-regex does not include it", input: strings.Join(slices.Sorted(maps.Keys(include)), " | ")}, nil
		}
		if re := first(exclude, t.Label); re != "" {
			return verdict{rule: "tasks-regex excludes it", input: re}, nil
		}
		return verdict{kept: true, rule: "the method default selects it, and nothing leaves it out", input: in}, nil
	}, nil
}

// expressions compiles a list of regular expressions, by their text.
func expressions(where string, list any) (map[string]*regexp.Regexp, error) {
	texts, ok := value.Strings(list)
	if list != nil && !ok {
		return nil, fmt.Errorf("%s: must be a list of regular expressions", where)
	}
	out := map[string]*regexp.Regexp{}
	for _, text := range texts {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a regular expression: %w", where, text, err)
		}
		out[text] = re
	}
	return out, nil
}

// first is the first expression, by its text, that matches somewhere in label; "" for none.
func first(list map[string]*regexp.Regexp, label string) string {
	for _, text := range slices.Sorted(maps.Keys(list)) {
		if list[text].MatchString(label) {
			return text
		}
	}
	return ""
}
