package auth

import (
	"fmt"
	"strings"
	"testing"
)

func TestExpansionsOfStrangersDoNotFillTheMemory(t *testing.T) {
	r := &rolesCopy{Resolver: newResolver(nil), memo: map[string][]string{}}
	expand := func(scopes ...string) {
		t.Helper()
		if _, err := r.expand(scopes); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() (bytes int) {
		for key, out := range r.memo {
			bytes += len(key)
			for _, s := range out {
				bytes += len(s)
			}
		}
		return bytes
	}
	expand("small")
	if len(r.memo) != 1 {
		t.Fatal("a small expansion is not remembered")
	}
	expand("big:" + strings.Repeat("x", maxMemo/8))
	if len(r.memo) != 1 {
		t.Error("one that is as large as a request may be is remembered")
	}
	for i := range 100 {
		expand(fmt.Sprintf("%d:%s", i, strings.Repeat("x", 1<<20)))
		if kept() > maxMemo {
			t.Fatalf("%d bytes are kept after %d expansions", kept(), i+1)
		}
	}
	if len(r.memo) < 5 {
		t.Errorf("only %d expansions are remembered", len(r.memo))
	}
}
