package dev

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALogKeepsItsEndOnly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "worker.log")
	const limit = 1000
	for range 3 { // the program is started again, too
		l, err := openLog(name, limit)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if _, err := fmt.Fprintf(l, "line %d\n", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.ReadFile(name)
	if err != nil || len(now) > limit || !strings.HasSuffix(string(now), "line 98\nline 99\n") {
		t.Errorf("%v, %d bytes", err, len(now))
	}
	before, err := os.ReadFile(name + ".1")
	if err != nil || len(before) > limit || len(before) < limit/2 || !strings.HasPrefix(string(before), "line ") {
		t.Errorf("%v, %d bytes", err, len(before))
	}
	if files, _ := filepath.Glob(name + "*"); len(files) != 2 {
		t.Errorf("%v", files)
	}
}
