package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// BenchmarkAuthenticate shows what a signed request costs while the copies are fresh, with 1,000 roles.
func BenchmarkAuthenticate(b *testing.B) {
	a := newAuth(b, pgtest.DB(b))
	for i := range 1000 {
		in := auth.RoleInput{Scopes: []string{fmt.Sprintf("queue:route:p%d.<..>", i)}}
		if _, err := a.CreateRole(b.Context(), root.ClientID, fmt.Sprintf("repo:github.com/org%d/*", i), in); err != nil {
			b.Fatal(err)
		}
	}
	one := create(b, a, "one", "assume:repo:github.com/org1/*", "x:*")
	temp, err := hawk.CreateTemporary(one, hawk.TempOptions{Scopes: []string{"x:1", "assume:repo:github.com/org1/y"}, Start: time.Now(), Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	for name, creds := range map[string]hawk.Credentials{"permanent": one, "temporary": temp} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := call(b, a, creds); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
