package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACommandLineThatIsNone(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"nonsense"}, []string{`unknown command "nonsense"`}},
		{[]string{"group", "nonsense"}, []string{`unknown command "nonsense" for "treeline group"`, "treeline group --help"}},
		{[]string{"group", "--json", "nonsense"}, []string{`unknown command "nonsense"`}},
		{[]string{"taskgraph", "nonsense"}, []string{`unknown command "nonsense"`}},
		{[]string{"group", "show"}, []string{"received 0", "usage: treeline group show GROUP", "treeline group show --help"}},
		{[]string{"task", "status", "--nonsense"}, []string{"unknown flag: --nonsense", "usage: treeline task status TASK"}},
		{[]string{"task", "status", "-AECAwQFRgeICQoLDA0ODw"}, []string{"unknown shorthand flag", "when -AECAwQFRgeICQoLDA0ODw is an id, write -- before it"}},
		{[]string{"trace", "--ECAwQFRgeICQoLDA0ODw"}, []string{"unknown flag", "when --ECAwQFRgeICQoLDA0ODw is an id, write -- before it"}},
		{[]string{"dev", "--port", "http"}, []string{`"http"`, "--port", "usage: treeline dev"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			out, errs, code := treeline(t, c.args...)
			if code != 1 || out != "" {
				t.Errorf("exit code %d, printed %q", code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(errs, want) {
					t.Errorf("%q lacks %q", errs, want)
				}
			}
		})
	}
	for _, args := range [][]string{{"task", "status", "--nonsense"}, {"task", "status", "-x"}, {"task", "status", "--nonsense", "--", "-AECAwQFRgeICQoLDA0ODw"}} {
		if _, errs, _ := treeline(t, args...); strings.Contains(errs, "is an id") {
			t.Errorf("%q is told of ids: %s", args, errs)
		}
	}
}

func TestHelpIsASuccess(t *testing.T) {
	for _, args := range [][]string{{}, {"group"}, {"group", "--help"}, {"help", "group", "show"}, {"--version"}} {
		if out, errs, code := treeline(t, args...); code != 0 || out == "" {
			t.Errorf("%q: exit code %d, %q, %s", args, code, out, errs)
		}
	}
}

// A server that takes the call and never answers is what Ctrl-C is for.
func TestCtrlCEndsACommandWithoutFuss(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("TASKCLUSTER_ROOT_URL", "http://"+l.Addr().String())
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		interrupt()
		if err == nil {
			<-t.Context().Done()
			conn.Close()
		}
	}()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	if code := execute(ctx, root, []string{"group", "list"}); code != exitInterrupted || errs.String() != "treeline: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, &out, &errs)
	}
}

func TestTheLastLineOfASpecCounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cases.yml")
	if err := os.WriteFile(file, []byte("title: x\ncontext: {}\ntemplate: {$eval: '1'}\nresult: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := treeline(t, "jsone", "spec", file)
	if code != 1 || errs != "" || !strings.HasSuffix(out, "\n0 passed, 1 failed\n") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}
