package access

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// record is a row of the audit log as it is shown.
type record struct {
	auth.Record
	Changes []change
	Href    string // page of the entity; "" without one
}

// change is how a member of an entity changed.
type change struct {
	Name           string
	From, To       string
	Added, Removed []string
}

func recordsOf(list []auth.Record) []record {
	out := make([]record, len(list))
	for i, r := range list {
		out[i] = record{Record: r, Changes: changesOf(r.Change), Href: entityPath(r.EntityType, r.EntityID)}
	}
	return out
}

func changesOf(text json.RawMessage) []change {
	var members map[string]struct {
		From    json.RawMessage `json:"from"`
		To      json.RawMessage `json:"to"`
		Added   []string        `json:"added"`
		Removed []string        `json:"removed"`
	}
	if len(text) == 0 || json.Unmarshal(text, &members) != nil {
		return nil
	}
	var out []change
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m := members[name]
		out = append(out, change{Name: name, From: plainText(m.From), To: plainText(m.To), Added: m.Added, Removed: m.Removed})
	}
	return out
}

// plainText writes a value for people: texts bare, the rest as JSON.
func plainText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

func entityPath(kind, id string) string {
	switch kind {
	case "client", "role":
		return pathOf(kind, id)
	case "secret":
		return "/secrets/" + url.PathEscape(id)
	case "bug": // its id is its address in its tracker
		if page.IsWeb(id) {
			return id
		}
	case "hook":
		return "/hooks/" + strings.ReplaceAll(url.PathEscape(id), "%2F", "/")
	}
	return ""
}

// auditView is a page of the audit log.
type auditView struct {
	Records                  []record
	Entity, Client, From, To string
	Next                     string // address of older records
	CSV, JSON                string // addresses of the whole as files
}

// asked reads what of the audit log is wanted.
func (a *auditView) asked(v *page.Visit) (q auth.AuditQuery, err error) {
	a.Entity, a.Client = strings.TrimSpace(v.R.FormValue("entity")), strings.TrimSpace(v.R.FormValue("client"))
	a.From, a.To = v.R.FormValue("from"), v.R.FormValue("to")
	q = auth.AuditQuery{ClientID: a.Client}
	kind, id, both := strings.Cut(a.Entity, ":")
	switch prefix, star := strings.CutSuffix(id, "*"); {
	case !both:
		q.EntityType = kind
	case star:
		q.EntityType, q.EntityPrefix = kind, prefix
	default:
		q.EntityType, q.EntityID = kind, id
	}
	if q.From, err = moment(a.From); err != nil {
		return q, err
	}
	if q.To, err = moment(a.To); err != nil {
		return q, err
	}
	if text := v.R.FormValue("before"); text != "" {
		if q.Before, err = strconv.ParseInt(text, 10, 64); err != nil {
			return q, fault.New(fault.BadArguments, "before=%.40q is no number of a record", text)
		}
	}
	return q, nil
}

// auditLog lists who changed what, and how.
func (ps *Pages) auditLog(v *page.Visit) error {
	if err := v.Allow(scope.String("auth:audit-log")); err != nil {
		return err
	}
	var a auditView
	q, err := a.asked(v)
	if err != nil {
		return err
	}
	q.Limit = perPage + 1
	list, err := ps.Auth.AuditLog(v.R.Context(), q)
	if err != nil {
		return err
	}
	query := v.R.URL.Query()
	query.Del("before")
	a.CSV, a.JSON = "/audit/log.csv?"+query.Encode(), "/audit/log.json?"+query.Encode()
	if len(list) > perPage {
		list = list[:perPage]
		query.Set("before", strconv.FormatInt(list[perPage-1].ID, 10))
		a.Next = "/audit?" + query.Encode()
	}
	a.Records = recordsOf(list)
	return v.Show(http.StatusOK, page.View{Title: "Audit log", Name: "audit", Body: a}, nil)
}

// moment reads a day or a time in UTC; "" is the zero time.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.New(fault.BadArguments, "%.40q is no time: write it as 2026-01-31 or 2026-01-31T09:00:00Z.", text)
}
