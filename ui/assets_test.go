package ui

import (
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
		{"a binary with the script loads it", fstest.MapFS{"dist/app.ABC.js": {Data: []byte("0")}, "dist/app.ABC.js.map": {}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := loadAssets(c.dist)
			if err != nil {
				t.Fatal(err)
			}
			pages, err := parsePages()
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := pages["login"].ExecuteTemplate(&out, "layout", view{Title: "Sign in", Name: "login", Assets: a, Body: signIn{}}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), `src="/ui/assets/app.ABC.js"`); got != c.script {
				t.Errorf("the page loads the script: %v, want %v", got, c.script)
			}
			if got := strings.Contains(out.String(), "make ui"); got == c.script {
				t.Errorf("the page names make ui: %v, want %v", got, !c.script)
			}
			if !strings.Contains(out.String(), `name="accessToken"`) {
				t.Error("the page itself is missing")
			}
		})
	}
}
