package hookview

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/editor"
	"github.com/treeline-ci/treeline/ui/page"
)

// heard is a message, and whether it would fire the hook.
type heard struct {
	Time     int64  `json:"time"`
	Exchange string `json:"exchange"`
	Key      string `json:"key"`
	Fires    bool   `json:"fires"`
	Reason   string `json:"reason"`
	Task     string `json:"task"` // that it is about, "" for none
	at       int64  // in the feed
}

const (
	gatherHeard = 100 * time.Millisecond
	maxHeard    = 500 // of one piece; older ones of a flood are counted and not sent
	beatHeard   = 20 * time.Second
)

// listen streams messages of the feed, each with whether it would fire the hook and why not. Nothing is fired.
func (ps *Pages) listen(v *page.Visit) (any, error) {
	q := v.R.URL.Query()
	group, id := q.Get("group"), q.Get("id")
	if err := v.Allow(scope.AllOf(scope.String("hooks:get:"+group+":"+id), page.SeePushes)); err != nil {
		return nil, err
	}
	h, err := ps.Hooks.Get(v.R.Context(), group, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := drain.Context(v.R.Context())
	defer cancel()
	after, err := ps.Feed.Resume(v.R.Context(), v.R.Header.Get("Last-Event-ID"))
	if err != nil {
		return nil, err
	}
	v.W.Header().Set("Content-Type", "text/event-stream")
	v.W.Header().Set("Cache-Control", "no-store")
	v.W.Header().Set("X-Accel-Buffering", "no")
	found := make(chan heard, 1024)
	go func() {
		defer close(found)
		for e, err := range ps.Feed.Subscribe(ctx, event.Filter{After: &after}) {
			if err != nil {
				return
			}
			if one, ok := ps.judge(&h, &e, q.Get("all") != ""); ok {
				select {
				case found <- one:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return nil, pour(ctx, v.W, after, found)
}

func (ps *Pages) judge(h *hooks.Hook, e *event.Event, all bool) (heard, bool) {
	if ps.Hooks.Messages == nil {
		return heard{}, false
	}
	m, ok, err := ps.Hooks.Messages(e)
	if err != nil || !ok || len(m.Keys) == 0 {
		return heard{}, false
	}
	fires, concerned, reason := hooks.Judge(h.Bindings, h.TriggerSchema, m)
	return heard{Time: e.Time.UnixMilli(), Exchange: m.Exchange, Key: m.Keys[0], Fires: fires, Reason: reason, Task: e.TaskID, at: e.Position}, concerned || all
}

// pour writes what is heard, a tenth of a second's together. Whoever comes back goes on where it was, behind after at first.
func pour(ctx context.Context, w http.ResponseWriter, after int64, found <-chan heard) error {
	flush := http.NewResponseController(w).Flush
	tick, beat := time.NewTicker(gatherHeard), time.NewTicker(beatHeard)
	defer tick.Stop()
	defer beat.Stop()
	var list []heard
	left := 0
	send := func(text string) bool {
		_, err := w.Write([]byte(text))
		return err == nil && flush() == nil
	}
	if !send(fmt.Sprintf("retry: 1000\nid: %d\n\n:\n\n", after)) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if !send(":\n\n") {
				return nil
			}
		case one, ok := <-found:
			if !ok {
				return nil
			}
			if list = append(list, one); len(list) > maxHeard {
				list, left = list[1:], left+1
			}
		case <-tick.C:
			if len(list) == 0 {
				continue
			}
			body, err := json.Marshal(map[string]any{"messages": list, "left": left})
			if err != nil || !send(fmt.Sprintf("id: %d\ndata: %s\n\n", list[len(list)-1].at, body)) {
				return nil
			}
			list, left = nil, 0
		}
	}
}

// listenPath is the address of a hook's stream.
func listenPath(group, id string) string {
	return "/ui/api/hooks/listen?" + url.Values{"group": {group}, "id": {id}}.Encode()
}

// triggers are the roles that may fire a hook, as far as their own scopes say; more tells that there are others.
func (ps *Pages) triggers(ctx context.Context, group, id string) (list []string, more bool, err error) {
	const most, pageSize = 30, 500
	want := scope.String("hooks:trigger-hook:" + group + "/" + id)
	after := ""
	for range 20 {
		roles, err := ps.Auth.Roles(ctx, after, pageSize)
		if err != nil {
			return nil, false, err
		}
		for _, r := range roles {
			if scope.Satisfies(r.Scopes, want) {
				list = append(list, r.ID)
			}
		}
		if len(roles) < pageSize || len(list) > most {
			break
		}
		after = roles[len(roles)-1].ID
	}
	if len(list) > most {
		return list[:most], true, nil
	}
	return list, false, nil
}

// listenPage shows messages as they come, with whether they would fire the hook.
func (ps *Pages) listenPage(v *page.Visit, group, id string) error {
	if err := v.Allow(scope.String("hooks:get:" + group + ":" + id)); err != nil {
		return err
	}
	h, err := ps.Hooks.Get(v.R.Context(), group, id)
	if err != nil {
		return err
	}
	body := &struct {
		hooks.Hook
		Path string
		Why  string
	}{Hook: h, Path: Path(group, id)}
	if err := v.Allow(page.SeePushes); err != nil {
		body.Why = fault.Message(err)
	}
	return v.Show(http.StatusOK, page.View{Title: "Messages for " + h.Name(), Name: "hooklisten", Body: body}, map[string]string{"stream": listenPath(group, id)})
}

// done is a record of the audit trail on a page.
type done struct {
	auth.Record
	Diff []DiffLine
}

const maxDone = 100

// auditPage shows what was done to a hook.
func (ps *Pages) auditPage(v *page.Visit, group, id string) error {
	if err := v.Allow(scope.Strings("hooks:get:"+group+":"+id, "auth:audit-log")); err != nil {
		return err
	}
	list, err := ps.Auth.AuditLog(v.R.Context(), auth.AuditQuery{EntityType: "hook", EntityID: group + "/" + id, Limit: maxDone})
	if err != nil {
		return err
	}
	body := struct {
		Name, Group, Path string
		List              []done
	}{Name: group + "/" + id, Group: group, Path: Path(group, id)}
	for _, r := range list {
		body.List = append(body.List, done{r, changeLines(r.Change)})
	}
	return v.Show(http.StatusOK, page.View{Title: "What was done to " + body.Name, Name: "hookaudit", Main: "narrow", Body: body}, nil)
}

// changeLines writes what a record tells of a change, part by part, as a difference.
func changeLines(change json.RawMessage) []DiffLine {
	var parts map[string]struct {
		From, To json.RawMessage
		Added    []string
		Removed  []string
	}
	if len(change) == 0 {
		return nil
	}
	if err := json.Unmarshal(change, &parts); err != nil {
		return []DiffLine{{" ", string(change)}}
	}
	var out []DiffLine
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		out = append(out, DiffLine{" ", name + ":"})
		for _, s := range p.Removed {
			out = append(out, DiffLine{"-", s})
		}
		for _, s := range p.Added {
			out = append(out, DiffLine{"+", s})
		}
		if len(p.From) > 0 || len(p.To) > 0 {
			out = append(out, compare(lines(textOf(p.From)), lines(textOf(p.To)))...)
		}
	}
	return out
}

func textOf(v json.RawMessage) string {
	if len(v) == 0 || string(v) == "null" {
		return ""
	}
	return editor.YAML(v)
}
