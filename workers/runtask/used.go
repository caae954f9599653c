package runtask

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Used names the scripts of images that a command needs: run-task when it starts it, and fetch-content when the
// environment asks run-task for fetches.
func Used(argv []string, env map[string]string) []string {
	usesRun := len(argv) > 0 && (strings.HasPrefix(path.Base(argv[0]), "run-task") || len(argv) > 1 && path.Base(argv[0]) == "treeline" && argv[1] == "run-task")
	if usesRun || env["MOZ_FETCHES"] != "" {
		return []string{"run-task", "fetch-content"}
	}
	return nil
}

// Script is the text of one of the scripts that start this program under the names that images have.
func Script(name string) ([]byte, error) {
	scripts, err := Scripts()
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(scripts, name)
	if err != nil {
		return nil, fmt.Errorf("run-task: script %s: %w", name, err)
	}
	return text, nil
}
