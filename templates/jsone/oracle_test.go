package jsone_test

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/treeline-ci/treeline/templates/jsone"
)

//go:embed testdata/npm/package.json testdata/npm/package-lock.json testdata/npm/oracle.js
var oracleFiles embed.FS

// oracle is the npm package json-e in a process of its own.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// answer is what the npm package makes of a template.
type answer struct {
	Result json.RawMessage `json:"result"`
	Class  string          `json:"class"`
	Text   string          `json:"text"`
}

// startOracle installs the pinned package into the user's cache folder (once) and starts it.
func startOracle(t testing.TB) *oracle {
	t.Helper()
	dir := installOracle(t)
	args := []string{filepath.Join(dir, "oracle.js")}
	// Newer versions of node take ** from the machine's C library unless told not to; older ones do not know the option.
	const ownPower = "--no-use-std-math-pow"
	if exec.Command("node", ownPower, "-e", "0").Run() == nil {
		args = append([]string{ownPower}, args...)
	}
	cmd := exec.Command("node", args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start node, which this test needs: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the oracle ended with %v", err)
		}
	})
	return &oracle{in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

func installOracle(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.New()
	names := []string{"package.json", "package-lock.json", "oracle.js"}
	for _, name := range names {
		text, _ := oracleFiles.ReadFile("testdata/npm/" + name)
		sum.Write(text)
	}
	dir := filepath.Join(cache, "treeline", "npm-jsone-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir
	}
	for _, name := range names {
		text, _ := oracleFiles.ReadFile("testdata/npm/" + name)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci of json-e: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ask sends a batch of cases and returns the answers.
func (o *oracle) ask(t testing.TB, cases []diffCase) []answer {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(o.in, 1<<20)
		for _, c := range cases {
			fmt.Fprintf(w, `{"template":%s,"context":%s}`+"\n", jsone.AppendJSON(nil, c.template), jsone.AppendJSON(nil, c.context))
		}
		sent <- w.Flush()
	}()
	out := make([]answer, len(cases))
	for i := range cases {
		line, err := o.out.ReadBytes('\n')
		if err != nil {
			t.Fatalf("the oracle stopped at %s: %v", jsone.AppendJSON(nil, cases[i].template), err)
		}
		if err := json.Unmarshal(line, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return out
}

// diffCase is one template to render on both sides.
type diffCase struct {
	template any
	context  *jsone.Object
}

// difference says how our rendering of a case differs from the oracle's, "" when it does not.
func difference(c diffCase, want answer) string {
	result, err := jsone.Render(c.template, c.context, jsone.Options{Now: jsone.SpecTime})
	got, text := "", string(jsone.AppendJSON(jsone.AppendJSON(nil, c.template), c.context))
	if err != nil {
		got = err.Error()
	} else {
		got = string(jsone.AppendJSON(nil, unusual(result)))
	}
	switch {
	case err != nil && (strings.Contains(got, "a function; call it") || strings.Contains(got, "an element is a function")):
		return "" // the reference prints a function's source into a text, which we refuse
	case want.Class == "native":
		if err != nil {
			return ""
		}
		return fmt.Sprintf("want an error like %s\ngot  %s", want.Text, got)
	case want.Class != "":
		if err != nil && got == want.Text {
			return ""
		}
		return fmt.Sprintf("want %s\ngot  %s", want.Text, got)
	case err == nil && got == string(want.Result):
		return ""
	case strings.Contains(text, "split") && strings.Contains(text, "😁"):
		return "" // the reference's split may cut a character in two halves, which we keep whole
	}
	return fmt.Sprintf("want %s\ngot  %s", want.Result, got)
}
