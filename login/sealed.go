package login

import (
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Sealed is the column of providers' grants, for the change of keys.
func Sealed() reseal.Table {
	return reseal.Table{
		Name: "grants of people's providers", Columns: 1, Page: sealedPageSQL, Swap: sealedSwapSQL,
		Context: func(key []string) []byte { return grantContext(key[0]) },
	}
}

var sealedPageSQL = pg.Statement{Name: "login.sealed_page", Text: `
SELECT ARRAY[identity], grant_ FROM login_people
WHERE grant_ IS NOT NULL AND identity > ($1::text[])[1] ORDER BY identity LIMIT $2`}

var sealedSwapSQL = pg.Statement{Name: "login.sealed_swap", Text: `
UPDATE login_people SET grant_ = $3 WHERE identity = ($1::text[])[1] AND grant_ = $2`}
