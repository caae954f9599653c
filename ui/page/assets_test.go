package page

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestWithoutBuiltScript renders a page of a binary that was built without "make ui".
func TestWithoutBuiltScript(t *testing.T) {
	for _, c := range []struct {
		name   string
		dist   fstest.MapFS
		script bool
	}{
		{"a binary without the script says so, and shows the page", fstest.MapFS{"dist/.gitkeep": {}}, false},
		{"a binary with the script loads it", fstest.MapFS{"dist/app.ABC.js": {Data: []byte("0")}, "dist/app.ABC.js.map": {}, "dist/part.DEF.js": {}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := LoadAssets(os.DirFS(".."), c.dist)
			if err != nil {
				t.Fatal(err)
			}
			k, err := New(Deps{Assets: a})
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := k.pages["error"].ExecuteTemplate(&out, "layout", View{Title: "Gone", Name: "error", Assets: a, Body: problem{Head: "What is missing"}}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), `src="/ui/assets/app.ABC.js"`); got != c.script {
				t.Errorf("the page loads the script: %v, want %v", got, c.script)
			}
			if got := strings.Contains(out.String(), "make ui"); got == c.script {
				t.Errorf("the page names make ui: %v, want %v", got, !c.script)
			}
			if !strings.Contains(out.String(), "What is missing") {
				t.Error("the page itself is missing")
			}
		})
	}
}
