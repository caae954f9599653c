package app

import (
	"testing"

	"github.com/treeline-ci/treeline/app/github/ghclient"
)

// TestTheKeyOfTheAppIsChanged: the App gets another key at GitHub, then the server has it, then GitHub's page forgets
// the old one.
func TestTheKeyOfTheAppIsChanged(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	old := h.app.PrivateKey()
	opens := func(what string, key []byte, want bool) {
		t.Helper()
		c, err := ghclient.New(ghclient.Config{AppID: h.app.ID, Key: key, API: h.gh.APIURL()})
		h.must(err)
		if list, err := c.Installations(t.Context()); (err == nil && len(list) == 1) != want {
			t.Errorf("%s: %d installations, %v; want it to hold: %v", what, len(list), err, want)
		}
	}
	h.must(h.app.AddKey())
	fresh := h.app.PrivateKey()
	opens("the old key", old, true)
	opens("the new key", fresh, true)

	h.stop()
	h.config.GitHub.Key = fresh
	h.config.Listen, h.config.Listener = h.config.Listener.Addr().String(), nil
	h.start() // it has no tokens from before
	h.app.DeleteOldKeys()
	opens("the old key, after its end", old, false)
	sha := h.push("main", map[string]string{"a": "1"})
	h.settle()
	if b := h.build("push"); b.SHA != sha || b.State != "pending" {
		t.Errorf("after the change, a push of %s made %+v", sha, b)
	}
}
