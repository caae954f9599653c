package action

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// settings are the keys actions and release-promotion of config.yml: which actions the tree asks for
// beside those that every tree has. The second alone asks for nothing: other programs read it too.
type settings struct {
	kind        Kind
	backfill    map[string]any // nil: not asked for
	missing     map[string]any
	interactive map[string]any
	promotion   map[string]any
}

// settingsType is the shape of the key actions. Keys that only take a list of kinds may stand empty.
func settingsType() schema.Type {
	words := schema.List(schema.String())
	return schema.Strict(
		schema.Opt("kind", schema.Enum(string(Hook), string(Task))),
		schema.Opt("backfill", schema.Strict(schema.Opt("kinds", words))),
		schema.Opt("run-missing-tests", schema.Strict(schema.Opt("kinds", words))),
		schema.Opt("create-interactive", schema.Strict(schema.Opt("kinds", words), schema.Opt("scopes", words))),
		schema.Opt("release-promotion", schema.Strict()),
	)
}

// promotionType is the shape of the key release-promotion, which other programs of the field read too:
// they may have more keys.
func promotionType() schema.Type {
	words := schema.List(schema.String())
	flavor := schema.Open(
		schema.Req("target-tasks-method", schema.String()),
		schema.Opt("rebuild-kinds", words), schema.Opt("do-not-optimize", words),
	)
	return schema.Open(
		schema.Req("flavors", schema.NonEmpty(schema.Map(flavor))),
		schema.Opt("rebuild-kinds", words), schema.Opt("do-not-optimize", words),
	)
}

// promotionRegister is what trees of the field name to be offered release-promotion.
const promotionRegister = "mozilla_taskgraph:register"

func readSettings(c *config.GraphConfig) (*settings, error) {
	s := &settings{kind: Hook}
	var wrong []error
	if v, has := c.Values["actions"]; has && v != nil {
		wrong = append(wrong, problems(c, "actions", settingsType(), v)...)
	}
	all := value.Map(c.Values, "actions")
	_, asked := all["release-promotion"]
	if asked = asked || value.String(value.Map(c.Values, "taskgraph"), "register") == promotionRegister && c.Values["release-promotion"] != nil; asked {
		wrong = append(wrong, problems(c, "release-promotion", promotionType(), c.Values["release-promotion"])...)
		s.promotion = value.Map(c.Values, "release-promotion")
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if kind := value.String(all, "kind"); kind != "" {
		s.kind = Kind(kind)
	}
	section := func(name string) map[string]any {
		v, has := all[name]
		if m, ok := v.(map[string]any); ok || !has {
			return m
		}
		return map[string]any{} // the key stands alone
	}
	s.backfill, s.missing, s.interactive = section("backfill"), section("run-missing-tests"), section("create-interactive")
	for i, pattern := range s.scopes() {
		if _, err := regexp.Compile(pattern); err != nil {
			return nil, settingError(c, []string{"actions", "create-interactive", "scopes", fmt.Sprint(i)}, "%v", err)
		}
	}
	return s, nil
}

func problems(c *config.GraphConfig, key string, t schema.Type, v any) []error {
	var out []error
	for _, e := range schema.Errors(schema.Check(t, v), "", func(at []string, onKey bool) (string, int) {
		return c.File.Path, lineOf(c, append([]string{key}, at...), onKey)
	}) {
		out = append(out, e)
	}
	return out
}

// lineOf is the line of what stands nearest to the path in config.yml.
func lineOf(c *config.GraphConfig, at []string, onKey bool) int {
	n := c.File.Root()
	line := n.Line()
	for i, key := range at {
		if k := n.Key(key); k.OK() && (onKey || i == 0) {
			line = k.Line()
		}
		if n = n.Child(key); !n.OK() {
			return line
		}
		if !onKey || i < len(at)-1 {
			line = n.Line()
		}
	}
	return line
}

func settingError(c *config.GraphConfig, at []string, format string, args ...any) error {
	return &graph.Error{File: c.File.Path, Line: lineOf(c, at, false), Message: fmt.Sprintf(format, args...)}
}

// kinds of a section, the usual kind of tests without them.
func kinds(section map[string]any) []string {
	if list, ok := value.Strings(section["kinds"]); ok && len(list) > 0 {
		return list
	}
	return []string{"test"}
}

func (s *settings) scopes() []string {
	list, _ := value.Strings(s.interactive["scopes"])
	return list
}

// actions are those that the tree asks for (taskgraph-map 18.3 and 18.5).
func (s *settings) actions(c *config.GraphConfig, p *params.Parameters) []Definition {
	var out []Definition
	add := func(key string, section map[string]any, d Definition) {
		if section != nil {
			d.File, d.Line = c.File.Path, lineOf(c, []string{"actions", key}, true)
			out = append(out, d)
		}
	}
	add("create-interactive", s.interactive, s.createInteractive(p))
	add("backfill", s.backfill, Definition{
		Name: "backfill", Callback: "backfill", Title: "Backfill", Symbol: "Bk", Order: 200, Permission: "backfill",
		Description: "Create the task in earlier pushes of the project, too, to find the one that broke it.",
		Context:     forKinds(s.backfill), Schema: backfillSchema(), needs: backfillNeeds, run: backfill,
	})
	add("run-missing-tests", s.missing, Definition{
		Name: "run-missing-tests", Callback: "run-missing-tests", Title: "Run Missing Tests", Symbol: "rmt", Order: 250, Permission: "generic",
		Description: "Create the tests of the push that were selected but left out by optimization.",
		Context:     wholeGroup(), needs: graphOnly, run: runMissing(kinds(s.missing)),
	})
	if s.promotion != nil {
		d := s.promote()
		d.File, d.Line = c.File.Path, lineOf(c, []string{"release-promotion"}, true)
		out = append(out, d)
	}
	return out
}

// forKinds is the context of tasks of the kinds that a section names; without any, of all tasks.
func forKinds(section map[string]any) []any {
	list, _ := value.Strings(section["kinds"])
	if len(list) == 0 {
		return anyTask()
	}
	var sets []any
	for _, kind := range list {
		sets = append(sets, tag("kind", kind))
	}
	return sets
}

func flavors(section map[string]any) []string {
	return slices.Sorted(maps.Keys(value.Map(section, "flavors")))
}
