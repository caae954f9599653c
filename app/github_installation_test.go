package app

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

// What webhooks would have told, and did not, is read from GitHub.
func TestInstallationsAreReadAnewFromGitHub(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	sync := func() {
		t.Helper()
		h.must(h.server.github.SyncInstallations(t.Context()))
	}
	reached := func(name string) bool {
		t.Helper()
		ok, err := h.server.github.Installed(t.Context(), "acme", name)
		h.must(err)
		return ok
	}
	h.gh.Deliveries(ghfake.Vanish)
	second, err := h.gh.AddRepository("acme/second", true)
	h.must(err)
	h.in.AddRepositories(second)
	if reached("second") {
		t.Error("it is known before anything told of it")
	}
	sync()
	if !reached("app") || !reached("second") {
		t.Error("what was added is not known")
	}
	h.in.RemoveRepositories(second)
	sync()
	if !reached("app") || reached("second") {
		t.Error("what was removed is reached still")
	}
	h.in.Suspend()
	sync()
	if reached("app") {
		t.Error("a suspended installation reaches its repositories")
	}
	h.in.Unsuspend()
	sync()
	if !reached("app") {
		t.Error("the installation goes on, and its repositories do not")
	}
	h.in.Delete()
	sync()
	if reached("app") {
		t.Error("an installation that is gone reaches its repositories")
	}
	h.must(h.gh.Drain(t.Context()))
	h.gh.Deliveries(ghfake.Deliver)
}
