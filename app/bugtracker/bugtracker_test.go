package bugtracker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/bugtracker"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/trackertest"
	"github.com/treeline-ci/treeline/triage/bugs"
)

func open(t *testing.T, setting, token string) bugs.Tracker {
	t.Helper()
	tracker, err := bugtracker.Open(setting, token)
	if err != nil {
		t.Fatal(err)
	}
	return tracker
}

// samples are bugs of which the closed ones come first.
func samples() []trackertest.Bug {
	return []trackertest.Bug{
		{ID: 7, Summary: "Intermittent test_oven.js | the oven is cold", Closed: true}, {ID: 8, Summary: "Bake test_oven.js sooner"}, {ID: 9, Summary: "Something else"},
	}
}

func TestBugzilla(t *testing.T) {
	s := trackertest.Bugzilla(t, samples()...)
	setting := "bugzilla:" + s.URL + "?product=Core&component=General"
	tracker := open(t, setting, trackertest.Token)
	t.Run("a search finds what has all words, open ones first", func(t *testing.T) {
		found, err := tracker.Search(t.Context(), "test_oven.js")
		want := []bugs.Bug{
			{ID: "8", Summary: "Bake test_oven.js sooner", State: "NEW", Open: true, URL: s.URL + "/show_bug.cgi?id=8"},
			{ID: "7", Summary: "Intermittent test_oven.js | the oven is cold", State: "RESOLVED FIXED", URL: s.URL + "/show_bug.cgi?id=7"},
		}
		if diff := cmp.Diff(want, found); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
	t.Run("a bug is filed where the setting says", func(t *testing.T) {
		made, err := tracker.File(t.Context(), bugs.New{Summary: "It is cold", Description: "very\ncold"})
		if err != nil || made.ID != "1900003" || made.URL != s.URL+"/show_bug.cgi?id=1900003" {
			t.Fatal(made, err)
		}
		all, _ := s.Bugs()
		if b := all[3]; b.Summary != "It is cold" || b.Description != "very\ncold" || b.Fields["version"] != "unspecified" {
			t.Errorf("%+v", b)
		}
	})
	t.Run("what it refuses is told without the token", func(t *testing.T) {
		for name, c := range map[string]struct{ setting, token, want string }{
			"a wrong key":       {setting, "wrong-" + trackertest.Token, "The API key you specified is invalid"},
			"a wrong component": {strings.Replace(setting, "General", "Nowhere", 1), trackertest.Token, "no component named 'Nowhere'"},
			"no key":            {setting, "", "You must log in"},
		} {
			_, err := open(t, c.setting, c.token).File(t.Context(), bugs.New{Summary: "x"})
			if !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), c.want) || strings.Contains(err.Error(), trackertest.Token) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	broken(t, s, tracker)
	t.Run("people file by hand at a form", func(t *testing.T) {
		f := tracker.Form()
		if f.URL != s.URL+"/enter_bug.cgi?component=General&product=Core&version=unspecified" || f.Summary != "short_desc" || f.Description != "comment" {
			t.Errorf("%+v", f)
		}
		for bug, want := range map[string]string{"12": s.URL + "/show_bug.cgi?id=12", "Bug 12": s.URL + "/show_bug.cgi?id=12", "x": "", "12&x=1": "", "javascript:1": ""} {
			if got := tracker.Link(bug); got != want {
				t.Errorf("%s: %s", bug, got)
			}
		}
	})
}

// broken has the tracker fail once.
func broken(t *testing.T, s *trackertest.Server, tracker bugs.Tracker) {
	t.Run("a tracker that is away is told of", func(t *testing.T) {
		s.Break(1)
		if _, err := tracker.Search(t.Context(), "x"); !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "503") {
			t.Error(err)
		}
	})
}

func TestGitHub(t *testing.T) {
	s := trackertest.GitHub(t, samples()...)
	tracker := open(t, "github:"+s.URL+"/acme/app", trackertest.Token)
	t.Run("a search finds what has all words, open ones first, whatever the words are", func(t *testing.T) {
		found, err := tracker.Search(t.Context(), "test_oven.js")
		want := []bugs.Bug{
			{ID: "#8", Summary: "Bake test_oven.js sooner", State: "open", Open: true, URL: s.URL + "/acme/app/issues/8"},
			{ID: "#7", Summary: "Intermittent test_oven.js | the oven is cold", State: "closed", URL: s.URL + "/acme/app/issues/7"},
		}
		if diff := cmp.Diff(want, found); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := tracker.Search(t.Context(), `repo:other/one "x`); err != nil {
			t.Error(err)
		}
		_, queries := s.Bugs()
		if got := queries[1]; got != `repo:acme/app is:issue in:title "repo:other/one" "x"` {
			t.Errorf("it was asked for %s", got)
		}
	})
	t.Run("an issue is opened", func(t *testing.T) {
		made, err := tracker.File(t.Context(), bugs.New{Summary: "It is cold", Description: "very"})
		if err != nil || made.ID != "#103" || made.URL != s.URL+"/acme/app/issues/103" {
			t.Fatal(made, err)
		}
	})
	t.Run("what it refuses is told without the token", func(t *testing.T) {
		for token, want := range map[string]string{"wrong-" + trackertest.Token: "Bad credentials", "": "Requires authentication"} {
			_, err := open(t, "github:"+s.URL+"/acme/app", token).File(t.Context(), bugs.New{Summary: "x"})
			if !errors.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), want) || strings.Contains(err.Error(), trackertest.Token) {
				t.Errorf("%v", err)
			}
		}
	})
	broken(t, s, tracker)
	if f := tracker.Form(); f.URL != s.URL+"/acme/app/issues/new" || tracker.Link("#12") != s.URL+"/acme/app/issues/12" || tracker.Link("x") != "" {
		t.Errorf("%+v", f)
	}
}

func TestSettings(t *testing.T) {
	for _, good := range []string{"github:https://github.com/acme/app", "bugzilla:https://bugzilla.example.com/x?product=A&component=B", "bugzilla:http://127.0.0.1:9?product=A&component=B"} {
		if tracker, err := bugtracker.Open(good, ""); err != nil || tracker == nil || tracker.CanFile() {
			t.Errorf("%s: %v", good, err)
		}
	}
	if tracker, err := bugtracker.Open("", ""); err != nil || tracker != nil {
		t.Errorf("nothing: %v", err)
	}
	for _, wrong := range []string{
		"x", "github:https://github.com/acme", "github:http://github.com/acme/app", "github:https://me:secret@github.com/acme/app", "bugzilla:https://bugzilla.example.com",
		"jira:https://jira.example.com/a/b", "bugzilla:ftp://x?product=A&component=B", "",
	} {
		_, err := bugtracker.Open(wrong, "the-token")
		if err == nil || strings.Contains(err.Error(), "the-token") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
