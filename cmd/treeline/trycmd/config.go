package trycmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

// maxRebuildFull is how often each task may run when tasks were picked from all there are.
const maxRebuildFull = 20

// settings are what the file says of how tasks run.
func (a *attempt) settings(p presets.Preset) (tryconfig.Settings, error) {
	env, err := pairs("env", p.Env)
	if err != nil {
		return tryconfig.Settings{}, err
	}
	env["TRY_SELECTOR"] = a.selector
	workers, err := pairs("worker-override", p.Workers)
	if err != nil {
		return tryconfig.Settings{}, err
	}
	if p.Rebuild < 0 || p.Rebuild > maxRebuildFull {
		return tryconfig.Settings{}, fmt.Errorf("--rebuild %d: a task may run 1 to %d times", p.Rebuild, maxRebuildFull)
	}
	s := tryconfig.Settings{
		Env: env, Routes: p.Routes, UseArtifactBuilds: p.Artifact, DisablePGO: p.DisablePGO,
		GeckoProfile: a.geckoProfile, ChemspillPrio: a.chemspill, OptimizeStrategies: p.Strategy,
	}
	if p.Rebuild > 1 {
		s.Rebuild = p.Rebuild
	}
	if len(workers) > 0 {
		s.WorkerOverrides = workers
	}
	if len(p.TasksRegex)+len(p.Exclude) > 0 {
		s.TasksRegex = &tryconfig.TasksRegex{Include: p.TasksRegex, Exclude: p.Exclude}
	}
	return s, nil
}

// pairs reads NAME=VALUE; of the same name the last counts.
func pairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: write NAME=VALUE", flag, text)
		}
		out[name] = value
	}
	return out, nil
}

// wanted is what a push asks for: a file, or a message with try syntax.
type wanted struct {
	file    []byte // nil: there is none
	message string
	tasks   int // picked, for the person; -1 when that is not known here
}

// fileFor makes the file that runs tasks. It is read again, as the server will.
func (a *attempt) fileFor(tasks []string, p presets.Preset, parameters map[string]any) (wanted, error) {
	s, err := a.settings(p)
	if err != nil {
		return wanted{}, err
	}
	s.Tasks = slices.Clone(tasks)
	slices.Sort(s.Tasks)
	file := tryconfig.Config{Version: 2, Parameters: parameters, Settings: s}.Encode()
	if _, err := tryconfig.Parse(file, tryconfig.Name); err != nil {
		return wanted{}, err
	}
	w := wanted{file: file, tasks: len(tasks)}
	if tasks == nil {
		w.tasks = -1
	}
	return w, nil
}

// withMessage adds the message; one that holds try syntax would overrule the file.
func (a *attempt) withMessage(w wanted, usual string) (wanted, error) {
	w.message = a.messageOf(usual)
	if syntax, _ := trysyntax.Find(w.message); syntax != "" && w.file != nil {
		return w, errors.New("--message: \"try:\" in it would be taken for try syntax, and overrule what is picked; leave it out, or use \"treeline try syntax\"")
	}
	return w, nil
}

// plural is a number of things.
func plural(n int, thing string) string {
	return fmt.Sprintf("%d %s%s", n, thing, map[bool]string{false: "s"}[n == 1])
}
