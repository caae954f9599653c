// Build turns ui/src into ui/dist: the script of all pages, parts of it that only some pages load, and source maps,
// named by content, ready to be embedded. Run it in the repository as "go run ./ui/build"; npm ci must have run in ui/src.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	dir := flag.String("ui", "ui", "folder of the pages: holds src and dist")
	flag.Parse()
	size, err := build(filepath.Join(*dir, "src"), filepath.Join(*dir, "dist"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ui/build:", err)
		os.Exit(1)
	}
	fmt.Printf("ui/dist: %d KB of script\n", size/1024)
}

// options are what the pages' script and its tests have in common.
func options(src string, entries ...string) (api.BuildOptions, error) {
	abs, err := filepath.Abs(src)
	if err != nil {
		return api.BuildOptions{}, err
	}
	if _, err := os.Stat(filepath.Join(abs, "node_modules", "preact")); err != nil {
		return api.BuildOptions{}, fmt.Errorf("%s has no node_modules/preact: run \"make ui\" (it calls npm ci)", src)
	}
	return api.BuildOptions{
		AbsWorkingDir:   abs,
		EntryPoints:     entries,
		Bundle:          true,
		Format:          api.FormatESModule,
		Target:          api.ES2022,
		JSX:             api.JSXAutomatic,
		JSXImportSource: "preact",
		LogLevel:        api.LogLevelSilent,
		Write:           true,
	}, nil
}

// build writes the bundle to dist, removes what an earlier build left there, and returns the
// script's size in bytes. Warnings of the bundler are errors.
func build(src, dist string) (size int, err error) {
	o, err := options(src, "main.ts")
	if err != nil {
		return 0, err
	}
	if o.Outdir, err = filepath.Abs(dist); err != nil {
		return 0, err
	}
	o.EntryNames, o.ChunkNames, o.Splitting = "app.[hash]", "part.[hash]", true
	o.MinifyIdentifiers, o.MinifySyntax, o.MinifyWhitespace = true, true, true
	o.Sourcemap = api.SourceMapLinked
	o.SourcesContent = api.SourcesContentInclude
	if err := clear(dist); err != nil {
		return 0, err
	}
	result := bundle(o)
	if err := problems(result); err != nil {
		return 0, err
	}
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".js") {
			size += len(f.Contents)
		}
	}
	for _, entry := range []string{"terminal/terminal.ts", "shell/worker.ts"} {
		if err := single(src, entry, o); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// single builds a script that stands by itself: that of interactive shells, with its style sheet in it, and the worker
// that tabs share.
func single(src, entry string, like api.BuildOptions) error {
	o, err := options(src, entry)
	if err != nil {
		return err
	}
	o.Outdir, o.EntryNames = like.Outdir, "[name].[hash]"
	o.MinifyIdentifiers, o.MinifySyntax, o.MinifyWhitespace = true, true, true
	o.Loader = map[string]api.Loader{".css": api.LoaderText}
	return problems(bundle(o))
}

// bundle runs the bundler.
func bundle(o api.BuildOptions) api.BuildResult { return api.Build(o) }

func problems(r api.BuildResult) error {
	list := append(r.Errors, r.Warnings...)
	if len(list) == 0 {
		return nil
	}
	return errors.New(strings.Join(api.FormatMessages(list, api.FormatMessagesOptions{}), ""))
}

func clear(dist string) error {
	for _, kind := range []string{"app.*", "part.*", "terminal.*", "worker.*"} {
		old, err := filepath.Glob(filepath.Join(dist, kind))
		if err != nil {
			return err
		}
		for _, name := range old {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(dist, 0o755)
}
