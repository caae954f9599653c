package action

import "testing"

func TestARepositorysRoleIsThatOfItsAddress(t *testing.T) {
	const root = "https://ci.example.com"
	for repository, want := range map[string]string{
		"https://github.com/owner/name":        "repo:github.com/owner/name",
		"https://github.com/owner/name.git/":   "repo:github.com/owner/name",
		"https://github.com/owner/name.git":    "repo:github.com/owner/name",
		"https://hg.example.com:8443/mozilla":  "repo:hg.example.com:8443/mozilla", // as push.Repository has it
		"git@github.com:owner/name.git":        "repo:github.com/owner/name",
		"ssh://git@github.com:22/owner/name":   "repo:github.com/owner/name",
		"https://ci.example.com/git/mine":      "repo:local/mine",
		"https://other.example.com/git/mine":   "repo:other.example.com/git/mine",
		"mine":                                 "",
		"https://ci.example.com.evil.org/git/": "repo:ci.example.com.evil.org/git",
	} {
		if got := RolePrefix(repository, root); got != want {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
}
