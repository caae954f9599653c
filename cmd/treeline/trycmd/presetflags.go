package trycmd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
)

func (a *attempt) presetFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.preset, "preset", "", "take what the preset of this name says")
	f.StringVar(&a.save, "save", "", "keep the selection as a preset of this name, too")
	f.BoolVar(&a.listPresets, "list-presets", false, "only list the presets")
	f.BoolVar(&a.editPresets, "edit-presets", false, "only open your presets in VISUAL or EDITOR")
}

func (a *attempt) presetFiles() presets.Files {
	return presets.Files{User: filepath.Join(a.user, "try_presets.yml"), Tree: a.Tree(), Root: a.Root()}
}

// presets does what is asked about presets only; done is true then.
func (a *attempt) presets(ctx context.Context) (done bool, err error) {
	switch {
	case a.listPresets:
		return true, a.printPresets()
	case a.editPresets:
		return true, a.edit(ctx, a.presetFiles().User)
	case a.save != "":
		return false, presets.CheckName(a.save)
	}
	return false, nil
}

func (a *attempt) printPresets() error {
	all, err := a.presetFiles().Read()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		a.say("There are no presets: --save NAME makes one, and so does %s/%s in the tree.", a.Root(), presets.FileName)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		text := fmt.Sprintf("%s (%s", name, p.Selector)
		for _, q := range p.Query {
			text += fmt.Sprintf(", query %q", q)
		}
		if n := len(p.Tasks); n > 0 {
			text += ", " + plural(n, "task")
		}
		if _, err := fmt.Fprintf(a.Out(), "%s, %s)\n", text, p.From); err != nil {
			return err
		}
		if p.Description != "" {
			if _, err := fmt.Fprintf(a.Out(), "    %s\n", p.Description); err != nil {
				return err
			}
		}
	}
	return nil
}

// edit opens a file in the person's editor, and checks it after that.
func (a *attempt) edit(ctx context.Context, file string) error {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return fmt.Errorf("set EDITOR to the program to edit with, or edit %s", file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file) // an editor may have options
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", editor, err)
	}
	_, err := a.presetFiles().Read()
	return err
}

// under is what is asked: the command line, and below it the preset that it names.
func (a *attempt) under() (presets.Preset, error) {
	if a.preset == "" {
		return a.line, nil
	}
	p, err := a.presetFiles().Get(a.preset)
	if err != nil {
		return p, err
	}
	if p.Selector != a.selector {
		return p, fmt.Errorf("the preset %s is one of \"treeline try %s\"", a.preset, p.Selector)
	}
	return p.Under(a.line), nil
}

// saved is what is kept of what was asked.
func (a *attempt) saved(asked presets.Preset) presets.Preset {
	asked.Selector, asked.From = a.selector, ""
	return asked
}

func (a *attempt) savePreset(p presets.Preset) error {
	if err := a.presetFiles().Save(a.save, p); err != nil {
		return err
	}
	a.say("Saved as preset %s in %s.", a.save, a.presetFiles().User)
	return nil
}
