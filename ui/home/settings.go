package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/ui/session"
)

// Choices are what somebody chose for themselves, on whatever browser.
type Choices struct {
	Theme  string   `json:"theme"`  // light, dark, or "" for the system's
	Zone   string   `json:"zone"`   // UTC, or "" for the browser's
	Keys   []string `json:"keys"`   // that do nothing; "*" for all single letters
	Emails []string `json:"emails"` // under which they push
	Notify bool     `json:"notify"` // the browser tells when a push of theirs fails
	// Watched are repositories that they watch.
	Watched []string `json:"watched,omitempty"`
}

// Settings keeps choices, by who made them. It is safe for concurrent use.
type Settings struct{ Pool *pgxpool.Pool }

// Of returns what somebody chose; known is false for who has not chosen yet.
func (s *Settings) Of(ctx context.Context, who session.Session) (c Choices, known bool, err error) {
	var text []byte
	err = s.Pool.QueryRow(ctx, settingsSQL.Text, who.ClientID, who.Holder.Person).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return guess(who), false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, false, fmt.Errorf("ui: settings of %s: %w", who.ClientID, pg.Classify(err))
	}
	return c, true, nil
}

// guess takes the address out of an identity that has one, such as ad|Mozilla-LDAP|ada@example.com.
func guess(who session.Session) Choices {
	last := who.ClientID[strings.LastIndexAny(who.ClientID, "|/")+1:]
	if strings.Count(last, "@") == 1 && !strings.HasPrefix(last, "@") {
		return Choices{Emails: []string{last}}
	}
	return Choices{}
}

const maxEmails = 20

// Keep keeps what somebody chose.
func (s *Settings) Keep(ctx context.Context, who session.Session, c Choices) error {
	if len(c.Emails) > maxEmails || len(c.Keys) > 100 {
		return fault.New(fault.Invalid, "There may be %d addresses and 100 keys.", maxEmails)
	}
	for _, e := range c.Emails {
		if len(e) > 200 || strings.Count(e, "@") != 1 {
			return fault.New(fault.Invalid, "%.60q is no mail address.", e)
		}
	}
	if c.Theme != "" && c.Theme != "light" && c.Theme != "dark" || c.Zone != "" && c.Zone != "UTC" {
		return fault.New(fault.Invalid, "The form is damaged; load the page again.")
	}
	text, err := json.Marshal(c)
	if err == nil {
		_, err = s.Pool.Exec(ctx, keepSQL.Text, who.ClientID, who.Holder.Person, string(text))
	}
	if err != nil {
		return fmt.Errorf("ui: settings of %s: %w", who.ClientID, pg.Classify(err))
	}
	return nil
}

var (
	settingsSQL = pg.Statement{Name: "ui.settings", Text: `SELECT settings FROM ui_settings WHERE client_id = $1 AND person = $2`}

	keepSQL = pg.Statement{Name: "ui.keep-settings", Text: `
INSERT INTO ui_settings (client_id, person, settings) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (client_id, person) DO UPDATE SET settings = excluded.settings, changed = now()`}
)

// Statements are the SQL of this package, for the test that prepares each.
func Statements() []pg.Statement { return []pg.Statement{settingsSQL, keepSQL} }
