// Package bugzilla is a Bugzilla as the bug tracker of the pages, by its REST API (Bugzilla 5.0 and newer). Where it stands is
// configuration alone; redirects are not followed.
package bugzilla

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/triage/bugs"
)

// Config says which Bugzilla it is, and where new bugs go.
type Config struct {
	URL                         string // of its root, such as https://bugzilla.mozilla.org
	Product, Component, Version string // of new bugs; the version is "unspecified" when empty
	Token                       string // API key; "" to file by hand only
}

const (
	requestTime = 10 * time.Second
	maxAnswer   = 1 << 20 // bytes
)

// Tracker is a Bugzilla. It is safe for concurrent use.
type Tracker struct {
	config Config
	client *http.Client
}

// New makes the tracker of a configuration that was checked. It asks nobody.
func New(c Config) *Tracker {
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Version == "" {
		c.Version = "unspecified"
	}
	return &Tracker{config: c, client: &http.Client{
		Timeout:       requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Name is bugs.Tracker's.
func (t *Tracker) Name() string {
	u, err := url.Parse(t.config.URL)
	if err != nil {
		return "Bugzilla"
	}
	return "Bugzilla at " + u.Host
}

// CanFile is bugs.Tracker's.
func (t *Tracker) CanFile() bool { return t.config.Token != "" }

// Form is bugs.Tracker's.
func (t *Tracker) Form() bugs.Form {
	q := url.Values{"product": {t.config.Product}, "component": {t.config.Component}, "version": {t.config.Version}}
	return bugs.Form{URL: t.config.URL + "/enter_bug.cgi?" + q.Encode(), Summary: "short_desc", Description: "comment"}
}

var number = regexp.MustCompile(`^(?:[Bb]ug )?(\d{1,9})$`)

// Link is bugs.Tracker's.
func (t *Tracker) Link(bug string) string {
	m := number.FindStringSubmatch(bug)
	if m == nil {
		return ""
	}
	return t.config.URL + "/show_bug.cgi?id=" + m[1]
}

const fields = "id,summary,status,resolution"

// Search is bugs.Tracker's.
func (t *Tracker) Search(ctx context.Context, words string) ([]bugs.Bug, error) {
	q := url.Values{
		"short_desc": {words}, "short_desc_type": {"allwordssubstr"}, "include_fields": {fields}, "order": {"changeddate DESC"},
		"limit": {strconv.Itoa(4 * bugs.MaxFound)},
	}
	found, err := t.read(ctx, "?"+q.Encode())
	if err != nil {
		return nil, err
	}
	out := []bugs.Bug{}
	for _, open := range []bool{true, false} {
		for _, b := range found {
			if open == b.Open && len(out) < bugs.MaxFound {
				out = append(out, b)
			}
		}
	}
	return out, nil
}

// read reads bugs; which, query says.
func (t *Tracker) read(ctx context.Context, query string) ([]bugs.Bug, error) {
	var found struct {
		Bugs []struct {
			ID         int64  `json:"id"`
			Summary    string `json:"summary"`
			Status     string `json:"status"`
			Resolution string `json:"resolution"`
		} `json:"bugs"`
	}
	if err := t.call(ctx, http.MethodGet, "/rest/bug"+query, nil, &found); err != nil {
		return nil, err
	}
	out := make([]bugs.Bug, len(found.Bugs))
	for i, b := range found.Bugs {
		id := strconv.FormatInt(b.ID, 10)
		out[i] = bugs.Bug{ID: id, Summary: b.Summary, State: strings.TrimSpace(b.Status + " " + b.Resolution), Open: b.Resolution == "", URL: t.Link(id)}
	}
	return out, nil
}

// Recent is bugs.Tracker's.
func (t *Tracker) Recent(ctx context.Context, summary string, since time.Time) (bugs.Bug, error) {
	q := url.Values{
		"f1": {"short_desc"}, "o1": {"equals"}, "v1": {summary}, "f2": {"creation_ts"}, "o2": {"greaterthaneq"}, "v2": {since.UTC().Format("2006-01-02 15:04:05")},
		"product": {t.config.Product}, "include_fields": {fields}, "order": {"bug_id DESC"}, "limit": {"1"},
	}
	return first(t.read(ctx, "?"+q.Encode()))
}

// Get is bugs.Tracker's.
func (t *Tracker) Get(ctx context.Context, id string) (bugs.Bug, error) {
	m := number.FindStringSubmatch(id)
	if m == nil {
		return bugs.Bug{}, bugs.ErrNone
	}
	return first(t.read(ctx, "/"+m[1]+"?include_fields="+fields))
}

func first(list []bugs.Bug, err error) (bugs.Bug, error) {
	switch {
	case err != nil:
		return bugs.Bug{}, err
	case len(list) == 0:
		return bugs.Bug{}, bugs.ErrNone
	}
	return list[0], nil
}

// File is bugs.Tracker's.
func (t *Tracker) File(ctx context.Context, n bugs.New) (bugs.Bug, error) {
	body := map[string]string{
		"product": t.config.Product, "component": t.config.Component, "version": t.config.Version, "op_sys": "Unspecified", "platform": "Unspecified",
		"type": "defect", "summary": n.Summary, "description": n.Description,
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if err := t.call(ctx, http.MethodPost, "/rest/bug", body, &made); err != nil {
		return bugs.Bug{}, err
	}
	if made.ID <= 0 {
		return bugs.Bug{}, fault.New(fault.Conflict, "%s took the bug and did not say which number it has.", t.Name())
	}
	id := strconv.FormatInt(made.ID, 10)
	return bugs.Bug{ID: id, Summary: n.Summary, State: "NEW", Open: true, URL: t.Link(id)}, nil
}

// call asks, and reads the answer. Errors have no key: it goes in a header.
func (t *Tracker) call(ctx context.Context, method, path string, body, out any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("bugzilla: %w", err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.config.URL+path, content)
	if err != nil {
		return fmt.Errorf("bugzilla: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "treeline")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if t.config.Token != "" {
		req.Header.Set("X-BUGZILLA-API-KEY", t.config.Token)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "%s does not answer.", t.Name())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "%s broke off its answer.", t.Name())
	}
	var said struct {
		Error   bool   `json:"error"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fault.Wrap(fault.Conflict, err, "%s answers %s, and not JSON.", t.Name(), resp.Status)
	}
	if said.Error || resp.StatusCode != http.StatusOK {
		var cause error
		if resp.StatusCode < http.StatusInternalServerError {
			cause = bugs.ErrRefused
		}
		return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("%s refuses: %s (%s)", t.Name(), cut(said.Message), resp.Status), Err: cause}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fault.Wrap(fault.Conflict, err, "%s answers something else than was asked for.", t.Name())
	}
	return nil
}

func cut(s string) string {
	const most = 300
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
