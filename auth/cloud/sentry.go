package cloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DSN is where a project's errors are reported, with the keys to do so.
type DSN struct {
	Secret, Public string
	Expires        time.Time
}

// A key is handed out while it has sentryKeep left, and then a new one is made.
const (
	sentryLife = 48 * time.Hour
	sentryKeep = 25 * time.Hour
)

// sentry speaks to the API of a Sentry.
type sentry struct {
	SentryConfig
	client *http.Client
}

// sentryKey is a client key of a project.
type sentryKey struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	DSN   struct {
		Secret string `json:"secret"`
		Public string `json:"public"`
	} `json:"dsn"`
	expires time.Time
}

func newSentry(c SentryConfig, client *http.Client) (*sentry, error) {
	if c == (SentryConfig{}) {
		return nil, nil
	}
	var err error
	if c.URL, err = address(c.URL, "https://sentry.io"); err != nil {
		return nil, fmt.Errorf("sentry: url: %w", err)
	}
	if c.Token == "" || c.Organization == "" || c.Team == "" {
		return nil, errors.New("sentry: token, organization and team are needed")
	}
	c.KeyPrefix = cmp.Or(c.KeyPrefix, "treeline")
	return &sentry{c, client}, nil
}

// Sentry returns a DSN of a project that holds for a day or more. The project is made when it does not
// exist.
func (c *Cloud) Sentry(ctx context.Context, now time.Time, project string) (DSN, error) {
	s := c.sentry
	if s == nil {
		return DSN{}, notConfigured("Sentry", "sentry")
	}
	keys, err := s.keys(ctx, project)
	if statusOf(err) == http.StatusNotFound {
		if err = s.createProject(ctx, project); err == nil {
			keys, err = s.keys(ctx, project)
		}
	}
	if err != nil {
		return DSN{}, err
	}
	if n := len(keys); n > 0 && keys[n-1].expires.After(now.Add(sentryKeep)) {
		return keys[n-1].hand(), nil
	}
	expires := now.Add(sentryLife).UTC().Truncate(time.Millisecond)
	key := sentryKey{expires: expires}
	err = s.post(ctx, []string{"projects", s.Organization, project, "keys"}, map[string]string{"name": s.label(expires)}, &key)
	if err != nil {
		return DSN{}, err
	}
	return key.hand(), nil
}

func (k sentryKey) hand() DSN { return DSN{k.DSN.Secret, k.DSN.Public, k.expires} }

// label names a key so that it can be told when it is to be removed, by any server.
func (s *sentry) label(expires time.Time) string {
	return s.KeyPrefix + " managed (expires-at:" + expires.Format("2006-01-02T15:04:05.000Z07:00") + ")"
}

var labelPattern = regexp.MustCompile(`^ managed \(expires-at:([0-9TZ:.+-]+)\)$`)

// ours reads when a key of ours expires from its label; other people's keys are left alone.
func (s *sentry) ours(label string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(label, s.KeyPrefix)
	m := labelPattern.FindStringSubmatch(rest)
	if !ok || m == nil {
		return time.Time{}, false
	}
	expires, err := time.Parse(time.RFC3339Nano, m[1])
	return expires, err == nil
}

// keys lists our keys of a project, the last to expire last.
func (s *sentry) keys(ctx context.Context, project string) ([]sentryKey, error) {
	all, err := list[sentryKey](ctx, s, "projects", s.Organization, project, "keys")
	if err != nil {
		return nil, err
	}
	var own []sentryKey
	for _, key := range all {
		var ok bool
		if key.expires, ok = s.ours(key.Label); ok {
			own = append(own, key)
		}
	}
	slices.SortStableFunc(own, func(a, b sentryKey) int { return a.expires.Compare(b.expires) })
	return own, nil
}

func (s *sentry) createProject(ctx context.Context, project string) error {
	return s.post(ctx, []string{"teams", s.Organization, s.Team, "projects"}, map[string]string{"name": project, "slug": project}, nil)
}

// purge removes our expired keys of all projects. One project's fault does not keep the others'.
func (s *sentry) purge(ctx context.Context, now time.Time) (removed int, err error) {
	projects, err := list[struct {
		Slug string `json:"slug"`
	}](ctx, s, "organizations", s.Organization, "projects")
	errs := []error{err}
	for _, project := range projects {
		keys, err := s.keys(ctx, project.Slug)
		errs = append(errs, err)
		for _, key := range keys {
			if !key.expires.Before(now) {
				continue
			}
			req, err := s.request(ctx, http.MethodDelete, s.at("projects", s.Organization, project.Slug, "keys", key.ID), nil)
			if err == nil {
				_, err = exchange(s.client, "Sentry", req, nil)
			}
			if err == nil {
				removed++
			}
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// at is an address of the API, which ends in a slash.
func (s *sentry) at(segments ...string) string {
	var b strings.Builder
	b.WriteString(s.URL + "/api/0/")
	for _, segment := range segments {
		b.WriteString(url.PathEscape(segment) + "/")
	}
	return b.String()
}

func (s *sentry) request(ctx context.Context, method, at string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cloud: sentry: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func (s *sentry) post(ctx context.Context, segments []string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := s.request(ctx, http.MethodPost, s.at(segments...), body)
	if err != nil {
		return err
	}
	_, err = exchange(s.client, "Sentry", req, out)
	return err
}

// maxPages bounds a listing, for a Sentry that never says it is the last page.
const maxPages = 1000

var nextLink = regexp.MustCompile(`rel="next"; results="true"; cursor="([^"]+)"`)

// list reads all pages of a listing.
func list[T any](ctx context.Context, s *sentry, segments ...string) ([]T, error) {
	var all []T
	at := s.at(segments...)
	for range maxPages {
		req, err := s.request(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, err
		}
		var page []T
		header, err := exchange(s.client, "Sentry", req, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		m := nextLink.FindStringSubmatch(header.Get("Link"))
		if m == nil {
			return all, nil
		}
		at = s.at(segments...) + "?cursor=" + url.QueryEscape(m[1])
	}
	return nil, fmt.Errorf("cloud: Sentry: more than %d pages", maxPages)
}
