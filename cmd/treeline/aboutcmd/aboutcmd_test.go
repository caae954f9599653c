package aboutcmd

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
		cmd := NewVersion()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out.String()
	}
	var info build.Info
	if err := json.Unmarshal([]byte(said("--json")), &info); err != nil {
		t.Fatal(err)
	}
	if info != build.Read() || info.OS != runtime.GOOS {
		t.Errorf("%+v", info)
	}
	if text := said(); !strings.HasPrefix(text, "treeline "+info.Version) || !strings.Contains(text, runtime.GOOS+"/"+runtime.GOARCH) {
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
	ask := func() error {
		cmd := NewHealth()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{})
		t.Setenv(healthSetting, server.URL+"/__heartbeat__")
		return cmd.ExecuteContext(t.Context())
	}
	if err := ask(); err != nil {
		t.Errorf("a healthy one: %v", err)
	}
	well = false
	if err := ask(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("an ill one: %v", err)
	}
	server.Close()
	if err := ask(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("one that is gone: %v", err)
	}
}
