package access

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/ui/page"
)

// exported is how many records a file has at most; exportedAtOnce how many are read in one go.
const (
	exported       = 50_000
	exportedAtOnce = 1000
)

// auditFile writes what of the audit log is asked for as a file: log.csv, or log.json with one record a line.
func (ps *Pages) auditFile(v *page.Visit) (any, error) {
	if err := v.Allow(scope.String("auth:audit-log")); err != nil {
		return nil, err
	}
	name := v.R.PathValue("file")
	kinds := map[string]string{"log.csv": "text/csv; charset=utf-8", "log.json": "application/x-ndjson"}
	if kinds[name] == "" {
		return nil, page.ErrNoPage
	}
	var a auditView
	q, err := a.asked(v)
	if err != nil {
		return nil, err
	}
	q.Limit = exportedAtOnce
	first, err := ps.Auth.AuditLog(v.R.Context(), q)
	if err != nil {
		return nil, err
	}
	h := v.W.Header()
	h.Set("Content-Type", kinds[name])
	h.Set("Content-Disposition", `attachment; filename="audit-`+name+`"`)
	h.Set("Cache-Control", "no-store")
	write := writeJSON(v.W)
	if name == "log.csv" {
		write = writeCSV(v.W)
	}
	for list, n := first, 0; len(list) > 0; {
		if err := write(list); err != nil {
			return nil, nil //nolint:nilerr // the browser has gone
		}
		if n += len(list); len(list) < q.Limit || n >= exported {
			break
		}
		q.Before = list[len(list)-1].ID
		if list, err = ps.Auth.AuditLog(v.R.Context(), q); err != nil {
			ps.Log.ErrorContext(v.R.Context(), "a file of the audit log ends early", "err", err)
			return nil, nil // it has begun
		}
	}
	return nil, nil
}

// exportedRecord is a record as programs read it.
type exportedRecord struct {
	Time       time.Time       `json:"time"`
	Client     string          `json:"clientId"`
	Action     string          `json:"actionType"`
	EntityType string          `json:"entityType"`
	EntityID   string          `json:"entityId"`
	ApprovedBy string          `json:"approvedBy,omitempty"`
	Proved     *time.Time      `json:"proved,omitempty"` // when who did it from a page had signed in last
	Change     json.RawMessage `json:"change,omitempty"`
}

// provedAt is when who did something from a page had signed in last; nil for what no page did.
func provedAt(r auth.Record) *time.Time {
	if r.Proved.IsZero() {
		return nil
	}
	at := r.Proved.UTC()
	return &at
}

func writeJSON(w io.Writer) func([]auth.Record) error {
	out := json.NewEncoder(w)
	return func(list []auth.Record) error {
		for _, r := range list {
			if err := out.Encode(exportedRecord{r.Created.UTC(), r.ClientID, r.Action, r.EntityType, r.EntityID, r.ApprovedBy, provedAt(r), r.Change}); err != nil {
				return err
			}
		}
		return nil
	}
}

func writeCSV(w io.Writer) func([]auth.Record) error {
	out := csv.NewWriter(w)
	begun := false
	return func(list []auth.Record) error {
		if !begun {
			begun = true
			if err := out.Write([]string{"id", "time", "who", "what", "type", "entity", "approved by", "change", "signed in"}); err != nil {
				return err
			}
		}
		for _, r := range list {
			proved := ""
			if at := provedAt(r); at != nil {
				proved = at.Format(time.RFC3339)
			}
			row := []string{strconv.FormatInt(r.ID, 10), r.Created.UTC().Format(time.RFC3339), r.ClientID, r.Action, r.EntityType, r.EntityID, r.ApprovedBy, string(r.Change), proved}
			for i := range row {
				row[i] = plainCell(row[i])
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}
}

// plainCell keeps programs that open tables from taking a text for a formula.
func plainCell(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@' || text[0] == '\t' || text[0] == '\r') {
		return "'" + text
	}
	return text
}
