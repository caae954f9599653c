package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What these commands make is for files: it comes on standard output, as their examples have it.
func TestKeysAndSignaturesArePrintedForFiles(t *testing.T) {
	dir := t.TempDir()
	key, definition, none := filepath.Join(dir, "key"), filepath.Join(dir, "task.json"), filepath.Join(dir, "none")
	out, errs, code := treeline(t, "cot", "new-key", key)
	if keys, err := publicKeys(strings.TrimSpace(out)); code != 0 || err != nil || len(keys) != 1 {
		t.Fatalf("exit code %d, printed %q and %q: %v", code, out, errs, err)
	}
	if err := os.WriteFile(definition, []byte(`{"taskQueueId": "a/b", "payload": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(definition)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var printed strings.Builder
	root := newRootCommand()
	root.SetIn(in)
	root.SetOut(&printed)
	root.SetArgs([]string{"cot", "sign-task", "fN1SbArXTPSVFNUvaOlinQ", "--key", key})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var signed struct {
		Extra struct{ Signature struct{ Value string } }
	}
	if err := json.Unmarshal([]byte(printed.String()), &signed); err != nil || signed.Extra.Signature.Value == "" {
		t.Errorf("printed %q: %v", printed.String(), err)
	}
	if err := os.WriteFile(none, []byte("# nobody\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, err := publicKeys(none); err == nil {
		t.Errorf("a file without keys has %v", keys)
	}
}
