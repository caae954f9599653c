// Command show prints what comes of the chart and of the compose file, as JSON, for tests that run it:
//
//	show chart VALUES.yaml      the chart's documents, as Helm renders them for a new release ci
//	show compose COMPOSE.yaml   the services, as Compose reads them
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "show:", err)
		os.Exit(1)
	}
}

func run(args []string, to io.Writer) error {
	if len(args) != 2 {
		return errors.New("give chart or compose, and a file")
	}
	var shown any
	var err error
	switch args[0] {
	case "chart":
		shown, err = chart(args[1])
	case "compose":
		shown, err = compose(args[1])
	default:
		err = fmt.Errorf("%q: give chart or compose", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(to).Encode(shown)
}

// chart renders ../helm/treeline.
func chart(file string) ([]map[string]any, error) {
	values, err := chartutil.ReadValuesFile(file)
	if err != nil {
		return nil, err
	}
	c, err := loader.Load("../helm/treeline")
	if err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "ci", Namespace: "treeline", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for text := range strings.SplitSeq(texts[name], "\n---\n") {
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if doc != nil {
				out = append(out, doc)
			}
		}
	}
	return out, nil
}

func compose(file string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithInterpolation(true), cli.WithConsistency(true), cli.WithNormalization(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}
