package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const settingsPage = "../../docs/reference/settings.md"

// setting is a variable of the environment, and what it is for.
type setting struct{ names, meaning string }

// elsewhere are variables that the help of treeline serve leaves to other pages, and those of other commands.
func elsewhere() map[string][]setting {
	return map[string][]setting{
		"Mail, Slack and Matrix": {
			{"TREELINE_NOTIFY", "YAML file with all that follows ([notifications](notify.md#settings)); as `--notify`"},
			{"TREELINE_SMTP_URL, TREELINE_SMTP_URL_FILE", "server by which mail is sent, such as `smtp://user:password@mail.example.com:587`, or a file with that"},
			{"TREELINE_SMTP_HOST, TREELINE_SMTP_USER, TREELINE_SMTP_PASSWORD, TREELINE_SMTP_PASSWORD_FILE", "the same one by one"},
			{"TREELINE_SMTP_TLS", "`starttls` (the default), `tls` or `none`"},
			{"TREELINE_SMTP_CA", "file of certificates to trust besides the system's"},
			{"TREELINE_MAIL_FROM", "address that mail comes from"},
			{"TREELINE_SLACK_TOKEN, TREELINE_SLACK_TOKEN_FILE", "token of the Slack app, or a file with it"},
			{"TREELINE_SLACK_URL", "Slack's API, where it is not Slack's own"},
			{"TREELINE_MATRIX_URL", "Matrix homeserver"},
			{"TREELINE_MATRIX_TOKEN, TREELINE_MATRIX_TOKEN_FILE", "token of the user that speaks, or a file with it"},
		},
		"The command line": {
			{"TASKCLUSTER_ROOT_URL", "the server, as Taskcluster's own clients know it"},
			{"TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN, TASKCLUSTER_CERTIFICATE", "credentials; the certificate is that of temporary ones"},
			{"TASKCLUSTER_PROXY_URL", "in a task: the proxy that has the task's credentials"},
			{"TREELINE_CREDENTIALS", "file in which `treeline signin` keeps credentials"},
			{"TREELINE_TRY_PUSH_TO", "where `treeline try` pushes to, when no option says it"},
			{"TREELINE_HEALTH_URL", "what `treeline health` asks, when no argument says it"},
			{"NO_COLOR", "set to anything: no colours"},
		},
		"Workers": {
			{"TREELINE_REGISTER", "as `treeline worker run --register`: what a container engine gives to workers that it starts"},
			{"TREELINE_RUN_TASK_TERMINAL", "set by run-task for the task's command, where there is a terminal"},
		},
	}
}

func TestSettingsReference(t *testing.T) {
	page := settingsReference()
	if *update {
		if err := os.WriteFile(settingsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), page); diff != "" {
		t.Errorf("the page is stale; run go test ./cmd/treeline -run Reference -update\n%s", diff)
	}
	for name, where := range variablesOfTheSource(t) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is read in %s, and neither the help of treeline serve nor settings_test.go explains it", name, where)
		}
	}
}

func settingsReference() string {
	var b strings.Builder
	b.WriteString(`# Settings

<!-- Made by "go test ./cmd/treeline -run Reference -update"; do not edit. -->

Every variable of the environment that the program reads, and every flag of the server. Flags go before variables, and these before files
that they name. A server that lacks a setting it needs, or cannot read one, does not start: the error names the setting, never its value.
`)
	serve, _, err := newRootCommand().Find([]string{"serve"})
	if err != nil {
		return err.Error()
	}
	b.WriteString("\n## The server: variables\n\n| variable | meaning |\n|---|---|\n")
	for _, s := range environment(serve.Long) {
		writeSetting(&b, s)
	}
	b.WriteString("\n## The server: flags\n\nOf `treeline serve`; `treeline dev` has [some of them](command-line.md#treeline-dev) too.\n\n| flag | default | meaning |\n|---|---|---|\n")
	serve.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		preset := presetOf(f)
		if preset != "" {
			preset = "`" + preset + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimSpace("--"+f.Name+" "+strings.TrimSuffix(kind, "Array")), preset, variable.ReplaceAllString(markdown(usage), "`$0`"))
	})
	for _, title := range []string{"Mail, Slack and Matrix", "The command line", "Workers"} {
		fmt.Fprintf(&b, "\n## %s\n\n| variable | meaning |\n|---|---|\n", title)
		for _, s := range elsewhere()[title] {
			writeSetting(&b, s)
		}
	}
	b.WriteString("\n## Files\n\nWhat stands in the files that settings name: [signing in](login.md), [worker pools](worker-pools.md), [repositories](repositories.md),\n[notifications](notify.md), [object stores](../how-to/object-storage.md), [credentials of other systems](../how-to/cloud-credentials.md).\n")
	return b.String()
}

var variable = regexp.MustCompile(`\b(?:TREELINE|DATABASE|TASKCLUSTER)_[A-Z_]+\b|\bNO_COLOR\b`)

func writeSetting(b *strings.Builder, s setting) {
	fmt.Fprintf(b, "| %s | %s |\n", variable.ReplaceAllString(s.names, "`$0`"), variable.ReplaceAllString(s.meaning, "`$0`"))
}

// environment reads the list of variables in a command's help: names begin a line after two spaces, what they mean
// stands beside and below, further in.
func environment(long string) []setting {
	_, list, _ := strings.Cut(long, "Environment:\n")
	var out []setting
	for line := range strings.Lines(list) {
		line = strings.TrimRight(line, "\n")
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			return out
		case strings.HasPrefix(line, "  ") && line[2] != ' ':
			names, meaning, _ := strings.Cut(text, "  ")
			if name, rest, ok := strings.Cut(text, " "); ok && meaning == "" && !strings.Contains(name, ",") && !variable.MatchString(rest) {
				names, meaning = name, rest
			}
			out = append(out, setting{strings.TrimSpace(names), strings.TrimSpace(meaning)})
		case len(out) > 0 && out[len(out)-1].meaning == "" && variable.MatchString(text) && strings.HasPrefix(text, "TREELINE_"):
			out[len(out)-1].names += " " + text
		case len(out) > 0:
			s := &out[len(out)-1]
			s.meaning = strings.TrimSpace(s.meaning + " " + text)
		}
	}
	return out
}

// variablesOfTheSource are the TREELINE_ variables that stand in strings of the program, and a file for each.
func variablesOfTheSource(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	whole := regexp.MustCompile(`^["` + "`" + `]TREELINE_[A-Z_]+["` + "`" + `]$`)
	err := filepath.WalkDir("../..", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"node_modules", ".git", "bench", "testdata", "deploytest", "soaktest", "uitest", "doctorcmd"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		var s scanner.Scanner
		s.Init(files.AddFile(name, -1, len(source)), source, nil, 0)
		for {
			_, tok, text := s.Scan()
			if tok == token.EOF {
				return nil
			}
			if tok == token.STRING && whole.MatchString(text) {
				found[strings.Trim(text, "\"`")] = name
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d variables were found", len(found))
	}
	return found
}
