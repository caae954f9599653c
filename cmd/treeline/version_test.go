package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/build"
)

func TestVersionSaysWhichTreelineThisIs(t *testing.T) {
	said := func(args ...string) string {
		t.Helper()
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		if code := execute(t.Context(), root, args); code != 0 {
			t.Fatalf("%v: exit code %d", args, code)
		}
		return out.String()
	}
	var info build.Info
	if err := json.Unmarshal([]byte(said("version", "--json")), &info); err != nil {
		t.Fatal(err)
	}
	if info != build.Read() || info.OS != runtime.GOOS {
		t.Errorf("%+v", info)
	}
	if text := said("version"); !strings.HasPrefix(text, "treeline "+info.Version) || !strings.Contains(text, runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("%q", text)
	}
}

func TestHealthIsWhatTheServerSays(t *testing.T) {
	well := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	ask := func() (int, string) {
		root := newRootCommand()
		var out bytes.Buffer
		root.SetErr(&out)
		t.Setenv(healthSetting, server.URL+"/__heartbeat__")
		return execute(t.Context(), root, []string{"health"}), out.String()
	}
	if code, said := ask(); code != 0 || said != "" {
		t.Errorf("a healthy one: %d, %s", code, said)
	}
	well = false
	if code, said := ask(); code != 1 || !strings.Contains(said, "503") {
		t.Errorf("an ill one: %d, %s", code, said)
	}
	server.Close()
	if code, said := ask(); code != 1 || !strings.Contains(said, "does not answer") {
		t.Errorf("one that is gone: %d, %s", code, said)
	}
}
