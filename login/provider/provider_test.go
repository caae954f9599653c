package provider

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIdentities(t *testing.T) {
	for _, c := range []struct{ name, got, want string }{
		{"as it is", identity("acme", "6f1c-2", "ada"), "acme/6f1c-2|ada"},
		{"characters that no client id has", identity("acme", "a/b c!", "ada lovelace"), "acme/a!2Fb!20c!21|ada!20lovelace"},
		{"beyond ASCII, byte by byte", identity("acme", "1", "gr\u00fcn"), "acme/1|gr!C3!BCn"},
		{"the readable part has no bar", identity("acme", "a", "b|c"), "acme/a|b!7Cc"},
		{"so that this is somebody else", identity("acme", "a|b", "c"), "acme/a|b|c"},
		{"the readable part is there when empty", identity("acme", "a|b", ""), "acme/a|b|"},
		{"Mozilla: LDAP", mozillaIdentity("ad|Mozilla-LDAP|ada", "ada@example.com"), "mozilla-auth0/ad|Mozilla-LDAP|ada"},
		{"Mozilla: GitHub", mozillaIdentity("github|1815", "Ada-L"), "mozilla-auth0/github|1815|Ada-L"},
		{"Mozilla: Firefox accounts", mozillaIdentity("oauth2|firefoxaccounts|00ff", "ada@example.com"), "mozilla-auth0/oauth2|firefoxaccounts|00ff|ada@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want {
				t.Errorf("got %s, want %s", c.got, c.want)
			}
		})
	}
}

func TestGroupsOfMozilla(t *testing.T) {
	got := roles([]string{"vpn_default", "mozilliansorg_taskcluster-users", "hris_dept_firefox", "vpn_default", "*", "mozilliansorg_*"}, mozillaRole)
	if diff := cmp.Diff([]string{"mozilla-group:vpn_default", "mozilla-hris:dept_firefox", "mozillians-group:taskcluster-users"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestClaims(t *testing.T) {
	claims := map[string]any{
		"groups": []any{"a", 7, "b"}, "realm_access": map[string]any{"roles": []any{"c"}}, "https://x.example.com/groups": "d", "deep": "text",
	}
	for claim, want := range map[string][]string{"groups": {"a", "b"}, "realm_access.roles": {"c"}, "https://x.example.com/groups": {"d"}, "realm_access.none": nil, "deep.er": nil, "none": nil} {
		got, ok := NewOIDC(OIDCConfig{Name: "x", GroupsClaim: claim}).groups(claims)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
			t.Errorf("%s: %s", claim, diff)
		}
	}
}

func TestAddressesOfGitHub(t *testing.T) {
	for _, c := range []struct {
		config         GitHubConfig
		authorize, api string
	}{
		{GitHubConfig{Name: "github"}, "https://github.com/login/oauth/authorize", "https://api.github.com"},
		{GitHubConfig{Name: "ghe", URL: "https://git.example.com/"}, "https://git.example.com/login/oauth/authorize", "https://git.example.com/api/v3"},
		{GitHubConfig{Name: "ghe", URL: "https://git.example.com", API: "https://api.example.com/"}, "https://git.example.com/login/oauth/authorize", "https://api.example.com"},
	} {
		p := NewGitHub(c.config)
		address, err := p.Begin(t.Context(), Flow{State: "s", Verifier: "v", Callback: "https://ci.example.com/login/github/callback"})
		if err != nil || !strings.HasPrefix(address, c.authorize+"?") || p.config.API != c.api {
			t.Errorf("got %s and %s, %v", address, p.config.API, err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if q := u.Query(); q.Get("scope") != "read:org" || q.Get("code_challenge_method") != "S256" || strings.Contains(address, "verifier") {
			t.Errorf("got %s", address)
		}
	}
}

func TestTheNextPage(t *testing.T) {
	for link, want := range map[string]string{
		`<https://api.github.com/user/teams?page=2>; rel="next", <https://api.github.com/user/teams?page=9>; rel="last"`: "https://api.github.com/user/teams?page=2",
		`<https://api.github.com/user/teams?page=1>; rel="first"`:                                                        "",
		"":        "",
		"garbage": "",
	} {
		if got := nextPage([]string{link}); got != want {
			t.Errorf("%s: got %q", link, got)
		}
	}
}

var inClientID = regexp.MustCompile(`^[A-Za-z0-9!@:.+|_-]*$`)

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "a/b", "!", "gr\u00fcn", "a|b", "%", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Encode(s)
		if !inClientID.MatchString(e) {
			t.Errorf("%q becomes %q", s, e)
		}
		back, err := url.PathUnescape(strings.ReplaceAll(e, "!", "%"))
		if err != nil || back != s {
			t.Errorf("%q becomes %q, which is %q: %v", s, e, back, err)
		}
	})
}
