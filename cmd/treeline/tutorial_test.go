package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A page is followed as a reader would: a fenced block goes into the file that the line before it
// names, lines with "$ " are typed, and what is below them must be the answer. "…" stands for any
// lines.
func followPage(t *testing.T, page string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"ROOT_URL", "CLIENT_ID", "ACCESS_TOKEN", "CERTIFICATE", "PROXY_URL"} {
		t.Setenv("TASKCLUSTER_"+name, "")
	}
	t.Setenv("TASK_ID", "")
	t.Setenv("FORCE_COLOR", "")
	lines := strings.Split(string(b), "\n")
	ran := 0
	for i := 0; i < len(lines); i++ {
		switch {
		case strings.HasPrefix(lines[i], "```yaml"):
			i = writeBlock(t, lines, i)
		case strings.HasPrefix(lines[i], "    $ "):
			i = runLine(t, lines, i)
			ran++
		}
	}
	if ran == 0 {
		t.Error("the page has no command")
	}
}

var namesFile = regexp.MustCompile("`([^` ]+)`:$")

// writeBlock writes the block that begins at line i, and gives the line it ends with.
func writeBlock(t *testing.T, lines []string, i int) int {
	t.Helper()
	before := i - 1
	for before > 0 && lines[before] == "" {
		before--
	}
	name := namesFile.FindStringSubmatch(lines[before])
	end := i + 1
	for end < len(lines) && lines[end] != "```" {
		end++
	}
	if name == nil {
		t.Fatalf("line %d: the line before the block names no file", i+1)
	}
	if err := os.WriteFile(filepath.FromSlash(name[1]), []byte(strings.Join(lines[i+1:end], "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return end
}

// runLine runs the command on line i, compares what it prints, and gives the last line of that.
func runLine(t *testing.T, lines []string, i int) int {
	t.Helper()
	command := strings.TrimPrefix(lines[i], "    $ ")
	end := i + 1
	for end < len(lines) && strings.HasPrefix(lines[end], "    ") && !strings.HasPrefix(lines[end], "    $ ") {
		end++
	}
	var want []string
	for _, l := range lines[i+1 : end] {
		want = append(want, strings.TrimPrefix(l, "    "))
	}
	if diff := cmp.Diff(want, answer(want, printed(t, command))); diff != "" {
		t.Errorf("line %d: %s: %s", i+1, command, diff)
	}
	return end - 1
}

// printed is what a command prints, without empty lines at its end.
func printed(t *testing.T, command string) []string {
	t.Helper()
	words := strings.Fields(command)
	var out string
	switch words[0] {
	case "cd":
		t.Chdir(words[1])
	case "treeline":
		stdout, stderr, _ := treeline(t, words[1:]...)
		out = stdout + stderr
	default:
		b, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, b)
		}
		out = string(b)
	}
	if out = strings.TrimRight(out, "\n"); out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

// answer is got with what "…" in want stands for replaced by it.
func answer(want, got []string) []string {
	for i, l := range want {
		if l != "…" || i > len(got) {
			continue
		}
		rest := len(want) - i - 1
		if len(got)-i < rest {
			return got
		}
		return append(append(append([]string{}, got[:i]...), "…"), got[len(got)-rest:]...)
	}
	return got
}

func TestTheTutorialOfGraphsHolds(t *testing.T) {
	followPage(t, filepath.Join("..", "..", "docs", "tutorial", "first-graph.md"))
}

// Commands and options that a page writes down exist.
func TestThePagesOfTheGeneratorNameOptionsThatExist(t *testing.T) {
	for _, page := range []string{"how-to/run-the-generator.md", "reference/parameters.md", "reference/target-tasks.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "docs", filepath.FromSlash(page)))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile("`?treeline taskgraph [^`\n]*").FindAllString(string(b), -1) {
			line, _, _ = strings.Cut(strings.TrimPrefix(line, "`treeline "), " #")
			checkOptions(t, page, strings.Fields(strings.TrimPrefix(line, "treeline ")))
		}
	}
}

// checkOptions finds the command of words and its options.
func checkOptions(t *testing.T, page string, words []string) {
	t.Helper()
	cmd, rest, err := newRootCommand().Find(words)
	if err != nil {
		t.Errorf("%s: %v: %v", page, words, err)
		return
	}
	if len(rest) > 0 && rest[0] != "…" && !strings.HasPrefix(rest[0], "-") && !cmd.Runnable() {
		t.Errorf("%s: %v: there is no command %s", page, words, rest[0])
	}
	for _, word := range rest {
		name, long := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case long && cmd.Flags().Lookup(name) == nil, !long && len(word) == 2 && word[0] == '-' && cmd.Flags().ShorthandLookup(word[1:]) == nil:
			t.Errorf("%s: %v: there is no option %s", page, words, word)
		}
	}
}
