package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference/command-line.md anew")

const (
	referencePage    = "../../docs/reference/command-line.md"
	referenceCommand = "go test ./cmd/treeline -run CommandLineReference -update"
	referenceHead    = `# The command line

This page is made from the program itself by ` + "`" + referenceCommand + "`" + `, and a test fails when the
two differ. ` + "`treeline COMMAND --help`" + ` prints the same.

`
)

func TestCommandLineReference(t *testing.T) {
	page := referenceHead + commandReference(newRootCommand())
	if *update {
		if err := os.WriteFile(referencePage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), page); diff != "" {
		t.Errorf("the page is stale; run %s\n%s", referenceCommand, diff)
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its summary %q is missing or ends with a full stop", c.CommandPath(), c.Short)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s does not say what it means", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
}

// commandReference is the page's body: a chapter for each group, a section for each command.
func commandReference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(prose(root.Long))
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID {
				writeCommand(&b, c, 3)
			}
		}
	}
	return b.String()
}

// writeCommand writes a command and those below it.
func writeCommand(b *strings.Builder, c *cobra.Command, level int) {
	if c.Hidden {
		return
	}
	fmt.Fprintf(b, "\n%s %s\n\n%s.\n", strings.Repeat("#", level), c.CommandPath(), markdown(c.Short))
	if c.Long != "" && c.Long != c.Short {
		fmt.Fprintf(b, "\n%s", prose(c.Long))
	}
	if c.Runnable() {
		fmt.Fprintf(b, "\n    %s\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso called `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	writeFlags(b, c)
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindent(c.Example))
	}
	for _, sub := range c.Commands() {
		writeCommand(b, sub, level+1)
	}
}

// writeFlags writes a table of all flags that a runnable command takes.
func writeFlags(b *strings.Builder, c *cobra.Command) {
	var rows strings.Builder
	row := func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		flag := strings.TrimRight("--"+f.Name+" "+strings.TrimSuffix(name, "Array"), " ")
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		if preset := presetOf(f); preset != "" && !strings.Contains(usage, "default") {
			usage += " (default " + preset + ")"
		}
		fmt.Fprintf(&rows, "| `%s` | %s |\n", flag, strings.ReplaceAll(markdown(usage), "|", `\|`))
	}
	if c.Runnable() {
		c.NonInheritedFlags().VisitAll(row)
		c.InheritedFlags().VisitAll(row)
	}
	if rows.Len() > 0 {
		fmt.Fprintf(b, "\n| flag | meaning |\n|---|---|\n%s", &rows)
	}
}

// presetOf is a flag's value when it is not given, "" for the zero of its type.
func presetOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "false", "[]", "0s":
		return ""
	}
	return f.DefValue
}

// prose is a help text as paragraphs; what it indents, and lists under a line ending with a colon,
// stay as they are.
func prose(text string) string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lead, rest, _ := strings.Cut(paragraph, "\n")
		switch {
		case strings.HasPrefix(paragraph, " "):
			out = append(out, "```text\n"+unindent(paragraph)+"\n```")
		case strings.HasPrefix(rest, " "):
			out = append(out, markdown(lead), "```text\n"+unindent(rest)+"\n```")
		default:
			out = append(out, markdown(paragraph))
		}
	}
	return strings.Join(out, "\n\n") + "\n"
}

// unindent takes two spaces from each line.
func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// markdown keeps Markdown from reading signs of its own into plain text.
func markdown(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", `\*`).Replace(text)
}
