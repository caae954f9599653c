package push

import (
	"context"
	"strings"

	"github.com/treeline-ci/treeline/internal/pg"
)

// ByEmails returns up to limit pushes by the people of these addresses, in any repository, the newest first.
func (l *Log) ByEmails(ctx context.Context, emails []string, limit int) ([]Push, error) {
	lower := make([]string, len(emails))
	for i, e := range emails {
		lower[i] = strings.ToLower(e)
	}
	return l.query(ctx, "by emails", byEmailsSQL, lower, limit)
}

var byEmailsSQL = pg.Statement{Name: "push.by-emails", Text: `
	SELECT ` + columns + ` FROM (SELECT p.* FROM unnest($1::text[]) AS asked (email),
		LATERAL (SELECT * FROM pushes WHERE lower(pushes.email) = asked.email ORDER BY pushes.pushed DESC LIMIT $2) p) AS mine
	ORDER BY pushed DESC LIMIT $2`}
