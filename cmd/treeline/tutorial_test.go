package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs"
	"github.com/treeline-ci/treeline/docs/command"
)

// What stands in code between the lines of a page: `treeline task log`.
var inlineCommand = regexp.MustCompile("`treeline ([a-z][^`]*)`")

// Commands and options that pages write down exist, whether or not a test can run them: commands of Treeline take the
// options and arguments that stand there, make has the targets, and other programs are those that a Debian machine has by
// the packages that are named in packages.
func TestThePagesNameCommandsAndOptionsThatExist(t *testing.T) {
	book, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, p := range book.Order {
		pages["docs/"+p.Name+".md"] = string(p.Source)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	targets := makeTargets(t)
	seen := 0
	for name, source := range pages {
		for _, m := range inlineCommand.FindAllStringSubmatch(source, -1) {
			checkOptions(t, name, wordsOf(strings.ReplaceAll(m[1], "\n", " ")))
			seen++
		}
		for _, b := range command.Blocks(name, source) {
			if b.File != "" {
				continue
			}
			for _, step := range b.Steps() {
				for _, words := range simpleCommands(step.Command) {
					switch {
					case words[0] == "treeline" || strings.HasSuffix(words[0], "/treeline"):
						checkOptions(t, name, words[1:])
						checkArguments(t, fmt.Sprintf("%s:%d", name, step.Line), words[1:])
						seen++
					case words[0] == "make":
						for _, w := range words[1:] {
							if !targets[w] && !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
								t.Errorf("%s:%d: make has no target %s", name, step.Line, w)
							}
						}
					case b.Elsewhere() && !strings.Contains(builtins, " "+words[0]+" ") && packages[words[0]] == "":
						t.Errorf("%s:%d: nobody says where %s comes from: correct it, or name its package in packages", name, step.Line, words[0])
					}
				}
			}
		}
		for i, line := range strings.Split(source, "\n") {
			if strings.HasPrefix(line, "    treeline ") || strings.HasPrefix(line, "    $ ") {
				if name != "docs/reference/command-line.md" {
					t.Errorf("%s:%d: write commands in a block that begins with ```sh or ```console, so that they are tested: %s", name, i+1, line)
				}
			}
		}
	}
	if seen < 250 {
		t.Errorf("only %d commands were found", seen)
	}
}

// builtins are words of the shell, and programs that every machine has.
const builtins = " ( . [ cat cd cp curl echo eval exit export git grep install ls mkdir mv printf sed set sh sha256sum tar touch trap "

// packages are the programs that are typed where no test can type them, with the packages of Debian that have them; other
// makers' say so.
var packages = map[string]string{
	"docker": "docker.io", "du": "coreutils", "date": "coreutils", "helm": "helm.sh", "kubectl": "kubernetes.io", "openssl": "openssl",
	"pg_basebackup": "postgresql-client", "pg_verifybackup": "postgresql", "podman": "podman", "rabbitmqctl": "rabbitmq-server",
	"rsync": "rsync", "systemctl": "systemd", "taskgraph": "Mozilla's taskcluster-taskgraph", "useradd": "passwd",
	"publish": "the reader's own",
}

// checkArguments has a command read its options and arguments, as it does when it is typed.
func checkArguments(t *testing.T, at string, words []string) {
	t.Helper()
	if slices.Contains(words, "COMMAND") {
		return
	}
	more := slices.Contains(words, "…") // what is left to the reader may be what is missing
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "…" })
	for i, w := range words { // where its input and output go is the shell's matter
		if w == "<" || w == ">" || w == ">>" || strings.HasPrefix(w, "<") || strings.HasPrefix(w, ">") || strings.HasPrefix(w, "2>") {
			words = words[:i]
			break
		}
	}
	for i, w := range words { // a variable may hold anything, so let it be a number
		if strings.Contains(w, "$") {
			words[i] = "1"
		}
	}
	cmd, rest, err := newRootCommand().Find(words)
	if err != nil || cmd.DisableFlagParsing || !cmd.Runnable() {
		return // the first is told by checkOptions; others read them by themselves
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: treeline %s: %v", at, strings.Join(words, " "), err)
		return
	}
	if more {
		return
	}
	if err := errors.Join(cmd.ValidateArgs(cmd.Flags().Args()), cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
		t.Errorf("%s: treeline %s: %v", at, strings.Join(words, " "), err)
	}
}

func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(text), -1) {
		targets[m[1]] = true
	}
	return targets
}

// simpleCommands are the words of each command of a script, without what is in a here-document, comments and the
// variables that are set for one command.
func simpleCommands(script string) [][]string {
	var out [][]string
	end := ""
	for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if end != "" {
			if line == end {
				end = ""
			}
			continue
		}
		if m := regexp.MustCompile(`<<-?\s*'?([A-Z]+)'?`).FindStringSubmatch(line); m != nil {
			end = m[1]
		}
		var now []string
		flush := func() {
			for len(now) > 0 && assignment.MatchString(now[0]) {
				now = now[1:]
			}
			if len(now) > 0 {
				out = append(out, now)
			}
			now = nil
		}
		for _, w := range wordsOf(line) {
			switch w {
			case "|", "||", "&&", ";", "&", "$(", ")", "eval":
				flush()
			default:
				now = append(now, w)
			}
		}
		flush()
	}
	return out
}

var assignment = regexp.MustCompile(`^[A-Za-z_]+=`)

// wordsOf cuts a line as a shell does, near enough: quotes hold together, a comment ends it.
func wordsOf(line string) []string {
	var words []string
	var now strings.Builder
	quote, some := rune(0), false
	flush := func() {
		if some {
			words = append(words, now.String())
		}
		now.Reset()
		some = false
	}
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			now.WriteRune(r)
		case r == '\'' || r == '"':
			quote, some = r, true
		case r == ' ' || r == '\t':
			flush()
		case r == '#' && !some:
			return words
		case r == '$' && i+1 < len(runes) && runes[i+1] == '(':
			flush()
			words = append(words, "$(")
			i++
		case strings.ContainsRune("|&;()", r):
			flush()
			op := string(r)
			if i+1 < len(runes) && runes[i+1] == r {
				op, i = op+op, i+1
			}
			words = append(words, op)
		default:
			now.WriteRune(r)
			some = true
		}
	}
	flush()
	return words
}

// checkOptions finds the command of words and its options.
func checkOptions(t *testing.T, page string, words []string) {
	t.Helper()
	if len(words) == 0 || words[0] == "…" || words[0] == "COMMAND" || strings.HasPrefix(words[0], "-") {
		return
	}
	cmd, rest, err := newRootCommand().Find(words)
	if err != nil {
		t.Errorf("%s: treeline %v: %v", page, words, err)
		return
	}
	if len(rest) > 0 && rest[0] != "…" && !strings.HasPrefix(rest[0], "-") && !cmd.Runnable() {
		t.Errorf("%s: treeline %v: there is no command %s", page, words, rest[0])
	}
	if cmd.DisableFlagParsing || cmd.HasSubCommands() {
		return // it reads them by itself, or they are of the commands below it
	}
	cmd.InitDefaultHelpFlag()
	for _, word := range rest {
		name, long := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		if strings.Contains(word, "…") {
			continue
		}
		if name == "" && long {
			return // what follows is another program's
		}
		inherited := cmd.InheritedFlags()
		switch {
		case long && cmd.Flags().Lookup(name) == nil && inherited.Lookup(name) == nil,
			!long && len(word) == 2 && word[0] == '-' && word[1] != '-' && cmd.Flags().ShorthandLookup(word[1:]) == nil && inherited.ShorthandLookup(word[1:]) == nil:
			t.Errorf("%s: treeline %v: there is no option %s", page, words, word)
		}
	}
}
