package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/templates/jsone"
)

func newJSONECommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jsone",
		Short: "Render JSON-e templates and run JSON-e case files",
	}
	cmd.AddCommand(newJSONESpecCommand(), newJSONERenderCommand())
	return cmd
}

func newJSONESpecCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "spec FILE",
		Short: "Run a file of JSON-e cases; the last line says how many passed and failed",
		Long: "Run a YAML file of JSON-e cases: documents that are `section: name` or have title, context, template and\n" +
			"result or error (the exact text, or true for any). Fails when a case fails.",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			passed, failed, err := jsone.RunSpec(file)
			for _, f := range failed {
				fmt.Fprintln(cmd.OutOrStdout(), f)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d passed, %d failed\n", passed, len(failed))
			if len(failed) > 0 {
				cmd.SilenceErrors = true // the last line has said it
				return exit.Code(1)
			}
			return nil
		},
	}
}

func newJSONERenderCommand() *cobra.Command {
	var contextFile, now string
	cmd := &cobra.Command{
		Use:          "render [--context FILE] [--now TIME] TEMPLATE",
		Short:        "Render a JSON-e template (YAML or JSON; - is standard input) and print the result as JSON",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			template, err := readData(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			var context any
			if contextFile != "" {
				if context, err = readData(cmd.InOrStdin(), contextFile); err != nil {
					return err
				}
			}
			at := time.Now()
			if now != "" {
				if at, err = time.Parse(time.RFC3339, now); err != nil {
					return fmt.Errorf("--now: %w", err)
				}
			}
			result, err := jsone.Render(template, context, jsone.Options{Now: at})
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return printJSON(cmd.OutOrStdout(), jsone.AppendJSON(nil, result))
		},
	}
	cmd.Flags().StringVar(&contextFile, "context", "", "file with the context, YAML or JSON")
	cmd.Flags().StringVar(&now, "now", "", "what the template takes for the current time (RFC 3339)")
	return cmd
}

// readData reads a YAML or JSON file as template data.
func readData(stdin io.Reader, name string) (any, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		if v, err := jsone.DecodeJSON(text); err == nil {
			return v, nil
		}
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	v, err := jsone.DecodeYAML(&node)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// printJSON prints JSON text indented.
func printJSON(out io.Writer, text []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := out.Write(b.Bytes())
	return err
}
