package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
)

// Encode spells a name with the characters that may stand in a client id, "/" excepted; others, and the
// escape "!" itself, become "!" and two hexadecimal digits for each byte (taskcluster-map 15.2).
func Encode(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("@:.+|_-", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "!%02X", c)
		}
	}
	return b.String()
}

// identity joins the parts of an identity. The readable part is always there, if only empty, and holds
// no "|", so that two people never have the same identity.
func identity(provider, subject, readable string) string {
	return provider + "/" + Encode(subject) + "|" + strings.ReplaceAll(Encode(readable), "|", "!7C")
}

// mozillaName is the provider whose identities and roles have forms of their own, which roles of
// existing deployments name.
const mozillaName = "mozilla-auth0"

// mozillaIdentity adds a readable part only where the subject is a number of another provider.
func mozillaIdentity(subject, readable string) string {
	if strings.HasPrefix(subject, "github|") || strings.HasPrefix(subject, "oauth2|firefoxaccounts|") {
		return identity(mozillaName, subject, readable)
	}
	return mozillaName + "/" + Encode(subject)
}

// mozillaRole sorts a group by what its name begins with into one of three families of roles.
func mozillaRole(group string) string {
	if rest, ok := strings.CutPrefix(group, "mozilliansorg_"); ok {
		return "mozillians-group:" + rest
	}
	if rest, ok := strings.CutPrefix(group, "hris_"); ok {
		return "mozilla-hris:" + rest
	}
	return "mozilla-group:" + group
}

// maxRoles bounds what one person brings along.
const maxRoles = 2000

// roles makes role ids of groups. A group whose name would make a pattern of the scope "assume:…", or
// has characters that no scope may have, gives no role: its name is under the control of others.
func roles(groups []string, role func(group string) string) []string {
	var out []string
	for _, g := range groups {
		id := role(g)
		if g == "" || strings.HasSuffix(id, "*") || strings.Contains(id, "<..>") || !scope.Printable(id) || len(id) > 1000 {
			continue
		}
		if out = append(out, id); len(out) == maxRoles {
			break
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
