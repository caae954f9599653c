package create

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/editor"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Ways to change a text that the page offers.
const (
	toNow         = "timestamps"
	toInteractive = "interactive"
	toSpaces      = "untab"
	toJSON        = "json"
	toYAML        = "yaml"
)

// leastInteractive is how many seconds a task has at least in which people work.
const leastInteractive = 60 * 60

// change gives the text with a change made.
func change(text, what string, now time.Time) (string, error) {
	if what == toSpaces {
		return editor.Untab(text), nil
	}
	doc, problems := editor.Parse(text)
	if doc == nil {
		return "", fault.New(fault.Invalid, "Line %d: %s", problems[0].Line, problems[0].Message)
	}
	m, ok := doc.Value().(map[string]any)
	if !ok {
		return "", fault.New(fault.Invalid, "A definition is a mapping; this is none.")
	}
	switch what {
	case toJSON:
		return doc.JSONText()
	case toYAML:
		return doc.YAMLText()
	}
	e, err := doc.Edit(text)
	if err != nil {
		return "", err
	}
	switch what {
	case toNow:
		err = update(e, m, now)
	case toInteractive:
		if err = interactive(e, m, doc); err == nil {
			err = update(e, m, now)
		}
	default:
		return "", fault.New(fault.BadArguments, "There is no change %q.", what)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "%v", err)
	}
	return e.Text()
}

// update moves the times of a definition to now and keeps what lay between them; artifacts expire with the task.
func update(e *editor.Edit, m map[string]any, now time.Time) error {
	created, deadline, expires := timeOf(m["created"]), timeOf(m["deadline"]), timeOf(m["expires"])
	lasts := cmp.Or(max(deadline.Sub(created), 0), 3*time.Hour)
	if created.IsZero() || deadline.IsZero() || lasts > 5*24*time.Hour {
		lasts = 3 * time.Hour
	}
	if seconds, ok := runTime(m); ok { // a deadline before the end of an allowed run would be of no use
		lasts = max(lasts, time.Duration(seconds)*time.Second+time.Hour)
	}
	lasts = min(lasts, 5*24*time.Hour)
	if err := e.Set(stampOf(now), "created"); err != nil {
		return err
	}
	if err := e.Set(stampOf(now.Add(lasts)), "deadline"); err != nil {
		return err
	}
	if m["expires"] == nil {
		return nil
	}
	kept := max(expires.Sub(created), lasts)
	if created.IsZero() || expires.IsZero() {
		kept = 365 * 24 * time.Hour
	}
	if err := e.Set(stampOf(now.Add(kept)), "expires"); err != nil {
		return err
	}
	return artifacts(e, m, now.Add(kept))
}

// artifacts moves the expiry of artifacts that have one: it must not lie after the task's, nor in the past.
func artifacts(e *editor.Edit, m map[string]any, until time.Time) error {
	p, _ := m["payload"].(map[string]any)
	switch list := p["artifacts"].(type) {
	case map[string]any:
		for name, v := range list {
			if one, ok := v.(map[string]any); ok && one["expires"] != nil {
				if err := e.Set(stampOf(until), "payload", "artifacts", name, "expires"); err != nil {
					return err
				}
			}
		}
	case []any:
		for i, v := range list {
			if one, ok := v.(map[string]any); ok && one["expires"] != nil {
				if err := e.Set(stampOf(until), "payload", "artifacts", itoa(i), "expires"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// interactive makes a definition that of a task for people: shells are offered, what others use is left alone, and
// there is time to work.
func interactive(e *editor.Edit, m map[string]any, doc *editor.Doc) error {
	p, ok := m["payload"].(map[string]any)
	if !ok {
		return fault.New(fault.Invalid, "There is no payload to make interactive.")
	}
	if err := e.Set(true, "payload", "features", "interactive"); err != nil {
		return err
	}
	if err := e.Set("true", "payload", "env", "TASKCLUSTER_INTERACTIVE"); err != nil {
		return err
	}
	if seconds, ok := runTime(m); !ok || seconds < leastInteractive {
		if err := e.Set(leastInteractive, "payload", "maxRunTime"); err != nil {
			return err
		}
		p["maxRunTime"] = json.Number(itoa(leastInteractive))
	}
	e.Delete("payload", "cache")
	e.Keep(func(item any) bool {
		mount, _ := item.(map[string]any)
		return mount["cacheName"] == nil
	}, "payload", "mounts")
	e.Delete("routes")
	e.Keep(func(item any) bool {
		s, _ := item.(string)
		return !strings.HasPrefix(s, "docker-worker:cache:") && !strings.HasPrefix(s, "generic-worker:cache:")
	}, "scopes")
	return nil
}

func runTime(m map[string]any) (seconds int64, ok bool) {
	p, _ := m["payload"].(map[string]any)
	n, ok := p["maxRunTime"].(json.Number)
	if !ok {
		return 0, false
	}
	seconds, err := n.Int64()
	return seconds, err == nil
}

func timeOf(v any) time.Time {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
