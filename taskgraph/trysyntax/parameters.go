package trysyntax

import (
	"fmt"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Parameters are the options as the parameters try_options and try_task_config hold them, by the
// names that transforms know (taskgraph-map 23.2).
func (o Options) Parameters() (tryOptions, tryTaskConfig map[string]any) {
	letters := ""
	for _, t := range o.BuildTypes {
		letters += t[:1]
	}
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	var jobs any
	if o.Jobs != nil {
		jobs = value.Anys(o.Jobs)
	}
	env := map[string]any{}
	for name, v := range o.Env {
		env[name] = v
	}
	tryOptions = map[string]any{
		"build_types": orNull(letters), "platforms": o.Platforms, "unittests": o.Unittests, "talos": o.Talos, "raptor": o.Raptor,
		"jobs": jobs, "trigger_tests": int64(o.Rebuild), "talos_trigger_tests": int64(o.RebuildTalos), "raptor_trigger_tests": int64(o.RebuildRaptor),
		"notifications": orNull(o.Notifications), "tag": orNull(o.Tag), "interactive": o.Interactive, "no_retry": o.NoRetry,
		"include_nightly": o.IncludeNightly, "taskcluster_worker": o.TaskclusterWorker, "line": int64(o.line),
	}
	return tryOptions, map[string]any{"use-artifact-builds": o.Artifact, "gecko-profile": o.GeckoProfile, "env": env}
}

// Line is the line of the commit message where the syntax stands, 0 when it is not known.
func (o Options) Line() int { return o.line }

// FromParameters reads the parameter try_options; the options of try_task_config are left out.
func FromParameters(m map[string]any) (Options, error) {
	o := Options{Rebuild: 1, RebuildTalos: 1, RebuildRaptor: 1, Platforms: All, Unittests: All, Talos: None, Raptor: None}
	texts := map[string]*string{"platforms": &o.Platforms, "unittests": &o.Unittests, "talos": &o.Talos, "raptor": &o.Raptor, "notifications": &o.Notifications, "tag": &o.Tag}
	flags := map[string]*bool{"interactive": &o.Interactive, "no_retry": &o.NoRetry, "include_nightly": &o.IncludeNightly, "taskcluster_worker": &o.TaskclusterWorker}
	counts := map[string]*int{"trigger_tests": &o.Rebuild, "talos_trigger_tests": &o.RebuildTalos, "raptor_trigger_tests": &o.RebuildRaptor, "line": &o.line}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, ok := m[name], true
		switch {
		case texts[name] != nil:
			if v != nil || name == "unittests" || name == "talos" || name == "raptor" {
				*texts[name], ok = v.(string)
			}
			if v == nil && !ok { // null asks for none
				*texts[name], ok = None, true
			}
		case flags[name] != nil:
			*flags[name], ok = v.(bool)
		case counts[name] != nil:
			var n int64
			n, ok = v.(int64)
			*counts[name] = int(n)
		case name == "build_types":
			var letters string
			if letters, ok = v.(string); ok || v == nil {
				ok = true
				notes := o.Notes
				if err := setBuild(&o, letters); err != nil {
					return Options{}, err
				}
				o.Notes = notes // told when the message was read
			}
		case name == "jobs":
			if v != nil {
				o.Jobs, ok = value.Strings(v)
			}
		}
		if !ok {
			return Options{}, fmt.Errorf("parameter try_options: %s is %v, which is not of its type", name, v)
		}
	}
	return o, nil
}
