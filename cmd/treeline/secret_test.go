package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretSet runs "treeline secret set" with a value on standard input.
func secretSet(t *testing.T, value string, args ...string) (stderr string, code int) {
	t.Helper()
	var errs bytes.Buffer
	root := newRootCommand()
	root.SetIn(strings.NewReader(value))
	root.SetErr(&errs)
	root.SetOut(&errs)
	code = execute(t.Context(), root, append([]string{"secret", "set"}, args...))
	return errs.String(), code
}

func TestSecretCommands(t *testing.T) {
	startRemote(t)
	const name = "project/mine/deploy"
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(`{"user": "me", "n": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if errs, code := secretSet(t, "hunter2\n", name, "--key", "token", "--lasts", "90d"); code != 0 || errs != "" {
		t.Fatalf("%d: %s", code, errs)
	}
	if got := must(t, "secret", "get", name, "--key", "token"); got != "hunter2\n" {
		t.Errorf("%q", got)
	}
	must(t, "secret", "set", name, "--file", file, "--lasts", "2126-01-01")
	for key, want := range map[string]string{"user": "me\n", "n": "1\n", "": "{\n  \"user\": \"me\",\n  \"n\": 1\n}\n"} {
		args := []string{"secret", "get", name}
		if key != "" {
			args = append(args, "--key", key)
		}
		if got := must(t, args...); got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
	if got := must(t, "secret", "list"); got != name+"\n" {
		t.Errorf("%q", got)
	}
	for what, c := range map[string]struct {
		value string
		args  []string
		want  string
	}{
		"a text without its key":   {"hunter2", []string{name}, "--key NAME"},
		"a list":                   {`["hunter2"]`, []string{name}, "no JSON object"},
		"no time":                  {"{}", []string{name, "--lasts", "long"}, "90d or 12h"},
		"no file":                  {"", []string{name, "--file", file + "x"}, "no such file"},
		"the value as an argument": {"", []string{name, "hunter"}, "usage"},
	} {
		errs, code := secretSet(t, c.value, c.args...)
		if code != 1 || !strings.Contains(errs, c.want) || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: %d %s", what, code, errs)
		}
	}
	must(t, "secret", "remove", name)
	if _, errs, code := treeline(t, "secret", "get", name); code != int(exitNotFound) || !strings.Contains(errs, "no secret named") {
		t.Errorf("%d: %s", code, errs)
	}
	if _, _, code := treeline(t, "secret", "get", name, "--key", "x"); code != int(exitNotFound) {
		t.Errorf("%d", code)
	}
}
