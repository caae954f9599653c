package trycmd

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/labels"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

func newChooser() *cobra.Command {
	a := newAttempt("chooser")
	cmd := &cobra.Command{
		Use:   "chooser",
		Short: "Take tasks by kind, platform and attributes",
		Long: `Takes the tasks that a push would select (with --full all tasks) and that every option given finds: of
one option given several times, any of its values will do. Values of --kind, --platform and --attr may
hold * and ?, and begin with ! to leave tasks out.`,
		Example: `  treeline try chooser --kind build --platform 'linux*' --dry-run
  treeline try chooser --full --attr build_type=opt --tasks-regex mochitest --platform '!macosx*'`,
		Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.choose(ctx) }),
	}
	a.pushFlags(cmd)
	a.taskFlags(cmd)
	a.presetFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&a.line.Kind, "kind", nil, "tasks of this kind (repeatable)")
	f.StringArrayVar(&a.line.Platform, "platform", nil, "tasks of this platform (repeatable)")
	f.StringArrayVar(&a.line.Attr, "attr", nil, "tasks with this attribute, NAME=VALUE; of one of several names all must be so (repeatable)")
	f.StringArrayVar(&a.line.TasksRegex, "tasks-regex", nil, "tasks whose label this regular expression finds (repeatable)")
	f.StringArrayVar(&a.line.Exclude, "tasks-regex-exclude", nil, "not the tasks whose label this finds (repeatable)")
	f.BoolVar(&a.line.Full, "full", false, "take from all tasks, not only from those that a push would select")
	return cmd
}

func (a *attempt) choose(ctx context.Context) error {
	if done, err := a.presets(ctx); done || err != nil {
		return err
	}
	asked, err := a.under()
	if err != nil {
		return err
	}
	if len(asked.Kind)+len(asked.Platform)+len(asked.Attr)+len(asked.TasksRegex)+len(asked.Exclude) == 0 {
		return fmt.Errorf("say what to take: --kind, --platform, --attr or --tasks-regex")
	}
	all, err := a.list(ctx, asked.Full)
	if err != nil {
		return err
	}
	picked, err := chosen(all, asked)
	if err != nil {
		return err
	}
	if len(picked) == 0 {
		return errNothing
	}
	if a.save != "" {
		if err := a.savePreset(a.saved(asked)); err != nil {
			return err
		}
	}
	thinned := asked
	thinned.TasksRegex, thinned.Exclude = nil, nil // what they find is picked; the file's are for auto
	w, err := a.fileFor(picked, thinned, map[string]any{"optimize_target_tasks": false})
	if err == nil {
		w, err = a.withMessage(w, "Chooser: "+plural(len(picked), "task"))
	}
	if err != nil {
		return err
	}
	return a.finish(ctx, w)
}

// filter reports whether a task is wanted.
type filter func(t labels.Task) bool

// chosen are the labels of the tasks that every filter finds.
func chosen(all labels.List, asked presets.Preset) ([]string, error) {
	var filters []filter
	kinds, err := globs("kind", asked.Kind, func(t labels.Task) string { return t.Kind })
	if err != nil {
		return nil, err
	}
	platforms, err := globs("platform", asked.Platform, func(t labels.Task) string { return t.Platform })
	if err != nil {
		return nil, err
	}
	filters = append(filters, kinds, platforms)
	byName := map[string][]string{}
	for _, text := range asked.Attr {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--attr %q: write NAME=VALUE", text)
		}
		byName[name] = append(byName[name], value)
	}
	for name, values := range byName {
		f, err := globs("attr", values, func(t labels.Task) string { return t.Attributes[name] })
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	for want, list := range map[bool][]string{true: asked.TasksRegex, false: asked.Exclude} {
		f, err := regexes(list, want)
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	var out []string
	for _, t := range all {
		if !slices.ContainsFunc(filters, func(f filter) bool { return !f(t) }) {
			out = append(out, t.Label)
		}
	}
	return out, nil
}

// globs finds tasks of which a value matches any of the patterns, and none of those with !.
func globs(flag string, patterns []string, of func(labels.Task) string) (filter, error) {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("--%s %q: %w", flag, p, err)
		}
	}
	matches := func(p, value string) bool {
		ok, _ := path.Match(strings.ReplaceAll(p, "/", "\x00"), strings.ReplaceAll(value, "/", "\x00")) // a * means any text; checked above
		return ok
	}
	return func(t labels.Task) bool {
		value, found, positive := of(t), false, false
		for _, p := range patterns {
			if not, ok := strings.CutPrefix(p, "!"); ok {
				if matches(not, value) {
					return false
				}
				continue
			}
			positive = true
			found = found || matches(p, value)
		}
		return found || !positive
	}, nil
}

// regexes finds tasks of which the label is found by any expression, or with want false by none.
func regexes(list []string, want bool) (filter, error) {
	var all []*regexp.Regexp
	for _, text := range list {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("--tasks-regex %q: %w", text, err)
		}
		all = append(all, re)
	}
	return func(t labels.Task) bool {
		return len(all) == 0 || want == slices.ContainsFunc(all, func(re *regexp.Regexp) bool { return re.MatchString(t.Label) })
	}, nil
}

func newAuto() *cobra.Command {
	a := newAttempt("auto")
	cmd := &cobra.Command{
		Use:   "auto",
		Short: "Let the server choose what the changes need",
		Long: `Asks for the tasks that a push to the main project would select, without those that config.yml calls
uncommon (try.uncommon-tasks), and lets the strategies of optimization leave out what the changes do not
need.`,
		Example: `  treeline try auto
  treeline try auto --tasks-regex linux --strategy project.strategies:reduced --dry-run`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		if done, err := a.presets(ctx); done || err != nil {
			return err
		}
		asked, err := a.under()
		if err != nil {
			return err
		}
		if a.save != "" {
			if err := a.savePreset(a.saved(asked)); err != nil {
				return err
			}
		}
		w, err := a.fileFor(nil, asked, map[string]any{"optimize_target_tasks": true, "filters": []any{"try_auto"}})
		if err == nil {
			w, err = a.withMessage(w, "Tasks chosen by the server")
		}
		if err != nil {
			return err
		}
		return a.finish(ctx, w)
	})
	a.pushFlags(cmd)
	a.taskFlags(cmd)
	a.presetFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&a.line.TasksRegex, "tasks-regex", nil, "only tasks whose label this regular expression finds (repeatable)")
	f.StringArrayVar(&a.line.Exclude, "tasks-regex-exclude", nil, "not the tasks whose label this finds (repeatable)")
	f.StringVar(&a.line.Strategy, "strategy", "", "strategies of optimization in the place of the usual ones")
	return cmd
}

func newEmpty() *cobra.Command {
	a := newAttempt("empty")
	cmd := &cobra.Command{
		Use:     "empty",
		Short:   "Run nothing yet: add tasks later",
		Long:    `Pushes without a task but the decision. Tasks are added on the push's page, with the action Add New Jobs.`,
		Example: "  treeline try empty",
		Args:    cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			w, err := a.fileFor([]string{}, a.line, map[string]any{"optimize_target_tasks": false})
			if err == nil {
				w, err = a.withMessage(w, "No try selector specified, use \"Add New Jobs\" to select tasks.")
			}
			if err != nil {
				return err
			}
			return a.finish(ctx, w)
		}),
	}
	a.pushFlags(cmd)
	a.taskFlags(cmd)
	return cmd
}

// syntaxCommand is one use of treeline try syntax.
type syntaxCommand struct {
	*attempt
	build, platform, unittests, talos, raptor string
	jobs                                      []string
}

func newSyntax() *cobra.Command {
	c := &syntaxCommand{attempt: newAttempt("syntax")}
	cmd := &cobra.Command{
		Use:   "syntax [TRY-SYNTAX]",
		Short: "Legacy try syntax: -b -p -u -t -j",
		Long: `Pushes with try syntax in the message, made of the options or given as it is. It is checked before it
is pushed.`,
		Example: `  treeline try syntax -b do -p linux64 -u mochitest-1,xpcshell -t none
  treeline try syntax "try: -b o -p all -u none --rebuild 3"`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.RunE = c.does(func(ctx context.Context, args []string) error { return c.run(ctx, args) })
	c.pushFlags(cmd, "p")
	f := cmd.Flags()
	f.StringVarP(&c.build, "build", "b", "", "types of builds: o, d")
	f.StringVarP(&c.platform, "platform", "p", "", "platforms, or all")
	f.StringVarP(&c.unittests, "unittests", "u", "", "tests, all or none")
	f.StringVarP(&c.talos, "talos", "t", "", "talos tests, all or none")
	f.StringVar(&c.raptor, "raptor", "", "raptor tests, all or none")
	f.StringArrayVarP(&c.jobs, "job", "j", nil, "jobs (repeatable)")
	f.StringArrayVar(&c.line.Env, "env", nil, "variable for each task's environment, NAME=VALUE (repeatable)")
	f.IntVar(&c.line.Rebuild, "rebuild", 0, "run each test so many times")
	f.BoolVar(&c.line.Artifact, "artifact", false, "use artifact builds where the tree has them")
	return cmd
}

// syntax is the try syntax asked for.
func (c *syntaxCommand) syntax(args []string) (string, error) {
	if len(args) > 0 {
		text := strings.TrimSpace(args[0])
		if strings.ContainsAny(text, "\r\n") {
			return "", fmt.Errorf("try syntax is one line")
		}
		if !strings.HasPrefix(text, "try:") {
			text = "try: " + text
		}
		return text, nil
	}
	words := []string{"try:"}
	add := func(flag, value string) error {
		if strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("%s: try syntax is one line", flag)
		}
		if value != "" {
			words = append(words, flag, quoted(value))
		}
		return nil
	}
	list := [][2]string{{"-b", c.build}, {"-p", c.platform}, {"-u", c.unittests}, {"-t", c.talos}, {"-r", c.raptor}}
	for _, job := range c.jobs {
		list = append(list, [2]string{"-j", job})
	}
	for _, env := range c.line.Env {
		list = append(list, [2]string{"--setenv", env})
	}
	if c.line.Rebuild > 0 {
		list = append(list, [2]string{"--rebuild", fmt.Sprint(c.line.Rebuild)})
	}
	for _, l := range list {
		if err := add(l[0], l[1]); err != nil {
			return "", err
		}
	}
	if c.line.Artifact {
		words = append(words, "--artifact")
	}
	if len(words) == 1 {
		return "", fmt.Errorf("say what to run, such as -b o -p linux64 -u all")
	}
	return strings.Join(words, " "), nil
}

// quoted is a word for the shell rules of try syntax, under which blanks in brackets need no quotes.
func quoted(word string) string {
	if !strings.ContainsAny(word, " \t'\"\\") || strings.ContainsRune(word, '[') && !strings.ContainsAny(word, "'\"\\") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (c *syntaxCommand) run(ctx context.Context, args []string) error {
	syntax, err := c.syntax(args)
	if err != nil {
		return err
	}
	options, _, err := trysyntax.Parse(syntax)
	if err != nil {
		return err
	}
	for _, note := range options.Notes {
		c.Screen().Warning(note.Error())
	}
	w := wanted{tasks: -1, message: c.messageOf(syntax)}
	if found, _ := trysyntax.Find(w.message); found != syntax {
		return fmt.Errorf("--message %q: the server would read the try syntax %q, not %q; let {msg} stand at the end of a line", c.message, found, syntax)
	}
	return c.finish(ctx, w)
}
