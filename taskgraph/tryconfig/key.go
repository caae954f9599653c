package tryconfig

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// key is one setting: how it is read and how it is written.
type key struct {
	name  string
	read  func(s *Settings, v any) error // the error says what is expected
	value func(s *Settings) (any, bool)  // false: not said
}

func flag(name string, of func(*Settings) *bool) key {
	return key{name: name,
		read: func(s *Settings, v any) error {
			b, ok := v.(bool)
			if m, isMap := v.(map[string]any); isMap && len(m) == 0 && name == "chemspill-prio" {
				b, ok = true, true // older programs write {}
			}
			if !ok {
				return wanted("true or false", v)
			}
			*of(s) = b
			return nil
		},
		value: func(s *Settings) (any, bool) { return *of(s), *of(s) },
	}
}

func text(name string, of func(*Settings) *string) key {
	return key{name: name,
		read: func(s *Settings, v any) error {
			t, ok := v.(string)
			if !ok {
				return wanted("a string", v)
			}
			*of(s) = t
			return nil
		},
		value: func(s *Settings) (any, bool) { return *of(s), *of(s) != "" },
	}
}

func integer(name string, least, most int64, of func(*Settings) *int) key {
	return key{name: name,
		read: func(s *Settings, v any) error {
			n, ok := v.(int64)
			if !ok || n < least || n > most {
				return wanted(fmt.Sprintf("an integer from %d to %d", least, most), v)
			}
			*of(s) = int(n)
			return nil
		},
		value: func(s *Settings) (any, bool) { return int64(*of(s)), *of(s) != 0 },
	}
}

func list(name string, most int, of func(*Settings) *[]string) key {
	return key{name: name,
		read: func(s *Settings, v any) error {
			l, err := texts(v)
			if err != nil {
				return err
			}
			if len(l) > most {
				return fmt.Errorf("has %d entries; the limit is %d", len(l), most)
			}
			*of(s) = l
			return nil
		},
		value: func(s *Settings) (any, bool) { return anys(*of(s)), *of(s) != nil },
	}
}

func table(name string, check func(k, v string) error, of func(*Settings) *map[string]string) key {
	return key{name: name,
		read: func(s *Settings, v any) error {
			m, ok := v.(map[string]any)
			if !ok {
				return wanted("an object of names to strings", v)
			}
			out := make(map[string]string, len(m))
			for _, k := range slices.Sorted(maps.Keys(m)) {
				t, ok := m[k].(string)
				if !ok {
					return fmt.Errorf("has %s for %q, expected a string", show(m[k]), k)
				}
				if err := check(k, t); err != nil {
					return err
				}
				out[k] = t
			}
			*of(s) = out
			return nil
		},
		value: func(s *Settings) (any, bool) {
			out := make(map[string]any, len(*of(s)))
			for k, v := range *of(s) {
				out[k] = v
			}
			return out, *of(s) != nil
		},
	}
}

// keys are all settings (taskgraph-map 23.3, and target-tasks-method of ours).
func keys() []key {
	return []key{
		list("tasks", MaxTasks, func(s *Settings) *[]string { return &s.Tasks }),
		table("env", environment, func(s *Settings) *map[string]string { return &s.Env }),
		integer("rebuild", 1, MaxRebuild, func(s *Settings) *int { return &s.Rebuild }),
		flag("chemspill-prio", func(s *Settings) *bool { return &s.ChemspillPrio }),
		list("routes", 64, func(s *Settings) *[]string { return &s.Routes }),
		table("worker-overrides", pool, func(s *Settings) *map[string]string { return &s.WorkerOverrides }),
		list("worker-types", 1000, func(s *Settings) *[]string { return &s.WorkerTypes }),
		text("optimize-strategies", func(s *Settings) *string { return &s.OptimizeStrategies }),
		text("target-tasks-method", func(s *Settings) *string { return &s.TargetTasksMethod }),
		regexKey(),
		flag("browsertime", func(s *Settings) *bool { return &s.Browsertime }),
		flag("disable-pgo", func(s *Settings) *bool { return &s.DisablePGO }),
		flag("gecko-profile", func(s *Settings) *bool { return &s.GeckoProfile }),
		intervalKey(),
		integer("gecko-profile-entries", 1, math.MaxInt32, func(s *Settings) *int { return &s.GeckoProfileEntries }),
		text("gecko-profile-features", func(s *Settings) *string { return &s.GeckoProfileFeatures }),
		text("gecko-profile-threads", func(s *Settings) *string { return &s.GeckoProfileThreads }),
		flag("new-test-config", func(s *Settings) *bool { return &s.NewTestConfig }),
		{name: "perftest-options",
			read:  func(s *Settings, v any) error { s.PerftestOptions = v; return nil },
			value: func(s *Settings) (any, bool) { return s.PerftestOptions, s.PerftestOptions != nil }},
		flag("pernosco", func(s *Settings) *bool { return &s.Pernosco }),
		flag("use-artifact-builds", func(s *Settings) *bool { return &s.UseArtifactBuilds }),
	}
}

func intervalKey() key {
	return key{name: "gecko-profile-interval",
		read: func(s *Settings, v any) error {
			switch n := v.(type) {
			case int64:
				s.GeckoProfileInterval = float64(n)
			case float64:
				s.GeckoProfileInterval = n
			}
			if s.GeckoProfileInterval <= 0 {
				return wanted("a number above 0", v)
			}
			return nil
		},
		value: func(s *Settings) (any, bool) { return s.GeckoProfileInterval, s.GeckoProfileInterval != 0 },
	}
}

func regexKey() key {
	return key{name: "tasks-regex",
		read: func(s *Settings, v any) error {
			m, ok := v.(map[string]any)
			if !ok {
				return wanted(`an object with the keys "include" and "exclude"`, v)
			}
			var r TasksRegex
			for _, k := range slices.Sorted(maps.Keys(m)) {
				if m[k] == nil {
					continue
				}
				l, err := texts(m[k])
				if err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
				for _, expr := range l {
					if _, err := regexp.Compile(expr); err != nil {
						return fmt.Errorf("%s: %q is not a regular expression: %w", k, expr, err)
					}
				}
				switch k {
				case "include":
					r.Include = l
				case "exclude":
					r.Exclude = l
				default:
					return fmt.Errorf("has the key %q; known are include and exclude", k)
				}
			}
			s.TasksRegex = &r
			return nil
		},
		value: func(s *Settings) (any, bool) {
			if s.TasksRegex == nil {
				return nil, false
			}
			out := map[string]any{}
			if s.TasksRegex.Include != nil {
				out["include"] = anys(s.TasksRegex.Include)
			}
			if s.TasksRegex.Exclude != nil {
				out["exclude"] = anys(s.TasksRegex.Exclude)
			}
			return out, true
		},
	}
}

func environment(k, v string) error {
	if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
		return fmt.Errorf("has %q, which cannot be the name of an environment variable, or holds a zero byte", k)
	}
	return nil
}

func pool(k, v string) error {
	provisioner, worker, ok := strings.Cut(v, "/")
	if !ok || provisioner == "" || worker == "" || strings.Contains(worker, "/") {
		return fmt.Errorf("sends %s to %q; a pool is written provisioner/worker-type", k, v)
	}
	return nil
}

func texts(v any) ([]string, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, wanted("a list of strings", v)
	}
	out := make([]string, len(l))
	for i, x := range l {
		if out[i], ok = x.(string); !ok {
			return nil, fmt.Errorf("has %s as entry %d, expected a string", show(x), i+1)
		}
	}
	return out, nil
}

func anys(l []string) []any {
	out := make([]any, len(l))
	for i, s := range l {
		out[i] = s
	}
	return out
}

func wanted(what string, v any) error { return fmt.Errorf("is %s, expected %s", show(v), what) }

// show writes a value in a message, short.
func show(v any) string {
	s := fmt.Sprint(v)
	switch v := v.(type) {
	case nil:
		s = "null"
	case string:
		s = fmt.Sprintf("%q", v)
	case []any:
		s = "a list"
	case map[string]any:
		s = "an object"
	}
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
