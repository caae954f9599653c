package local

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/workers/payload"
)

func a(commands ...[]string) (*job, *strings.Builder) {
	var said strings.Builder
	return &job{
		Host:    Host{Say: func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }},
		options: Options{Develop: "/here"},
		payload: &payload.Payload{Commands: commands, Env: map[string]string{}},
	}, &said
}

func TestAShellInThePlaceOfTheCommand(t *testing.T) {
	j, _ := a([]string{"chmod", "+x", "run-task"}, []string{"./run-task", "--p-checkout=src", "--", "printf", "%s|", "it's", "a b", "$HOME"})
	script := j.interactive()
	want := append([]string{"./run-task", "--p-checkout=src", "--"}, shell()...)
	if diff := cmp.Diff(want, j.payload.Commands[1]); diff != "" {
		t.Error(diff)
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.Output(); err != nil || string(out) != "it's|a b|$HOME|" {
		t.Errorf("%q %v\n%s", out, err, script)
	}
	j, _ = a([]string{"make", "test"})
	j.interactive()
	if diff := cmp.Diff([][]string{shell()}, j.payload.Commands); diff != "" {
		t.Error(diff)
	}
	j, _ = a(nil)
	if script = j.interactive(); !strings.Contains(script, "no command") {
		t.Error(script)
	}
}

func TestAnotherUserForTheCommand(t *testing.T) {
	j, _ := a([]string{"/usr/local/bin/run-task", "--user", "root", "--group=root", "--task-cwd", "x", "--", "id", "--user"})
	if !j.asUser("me") {
		t.Error("not done")
	}
	want := [][]string{{"/usr/local/bin/run-task", "--task-cwd", "x", "--user", "me", "--", "id", "--user"}}
	if diff := cmp.Diff(want, j.payload.Commands); diff != "" {
		t.Error(diff)
	}
	if j, _ = a([]string{"id"}); j.asUser("me") {
		t.Error("a command that is not run-task's was changed")
	}
}

func TestACheckoutOfThisMachine(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		place   string
		want    []string
	}{
		{"in one word", []string{"run-task", "--p-checkout=src/", "--task-cwd", "src", "--", "make"}, "/t/src", []string{"run-task", "--task-cwd", "src", "--", "make"}},
		{"in two", []string{"run-task", "--user", "x", "--p-checkout", "/builds/worker/checkouts/vcs/", "--", "make"}, "/builds/worker/checkouts/vcs", []string{"run-task", "--user", "x", "--", "make"}},
		{"the program itself", []string{"/x/treeline", "run-task", "--p-checkout=src", "--", "make"}, "/t/src", []string{"/x/treeline", "run-task", "--", "make"}},
	} {
		j, said := a(c.command)
		place, err := j.develop("/t")
		if err != nil || place != c.place || !strings.Contains(said.String(), "/here is used as it is") {
			t.Errorf("%s: %s, %v, %s", c.name, place, err, said)
		}
		if diff := cmp.Diff([][]string{c.want}, j.payload.Commands); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	j, _ := a([]string{"run-task", "--p-checkout=checkouts/vcs", "--", "make"})
	j.payload.Env["TASKCLUSTER_CACHES"] = "/t/checkouts;/t/kept"
	j.payload.Mounts = []payload.Mount{{Directory: "checkouts", CacheName: "c"}, {Directory: "kept", CacheName: "k"}, {File: "checkouts/x"}}
	if _, err := j.develop("/t"); err != nil || j.payload.Env["TASKCLUSTER_CACHES"] != "/t/kept" || len(j.payload.Mounts) != 2 {
		t.Errorf("%v %+v", err, j.payload)
	}
	for _, command := range [][]string{{"make"}, {"run-task", "--", "make", "--p-checkout=x"}, {"run-task", "--p-checkout"}} {
		j, _ = a(command)
		if _, err := j.develop("/t"); err == nil || !strings.Contains(err.Error(), "checks nothing out") {
			t.Errorf("%q: %v", command, err)
		}
	}
}

func TestVolumes(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, names := range [][2]string{{"a b", "a/b"}, {long, long + "y"}} {
		one, two := volume(names[0]), volume(names[1])
		if one == two || len(one) > 100 || strings.ContainsAny(one, " /") {
			t.Errorf("%s and %s", one, two)
		}
	}
	for root, want := range map[string]bool{"http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:80": true, "https://ci.example.org": false, "%": false} {
		if isHere(root) != want {
			t.Errorf("%s", root)
		}
	}
}
