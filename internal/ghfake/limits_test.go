package ghfake_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSecondaryLimitsHoldByTheMinuteAndTheHour(t *testing.T) {
	h := newHook(t)
	sha := push(t, h.repo, "main", map[string]string{"a": "b"})
	token := h.token(t)
	create := func() result {
		t.Helper()
		return h.call(t, http.MethodPost, "repos/acme/app/statuses/"+sha, token, map[string]any{"state": "success", "context": "c"})
	}
	read := func() int {
		t.Helper()
		return h.call(t, http.MethodGet, "repos/acme/app", token, nil).status
	}
	made := 0
	for range 100 {
		r := create()
		if r.status == http.StatusCreated {
			made++
			continue
		}
		if r.status != http.StatusForbidden || !strings.Contains(r.text, "secondary rate limit") || r.header.Get("Retry-After") == "" {
			t.Fatalf("%d %v %s", r.status, r.header, r.text)
		}
		break
	}
	if made != 80 || read() != http.StatusOK || h.installation.Refused() != 1 {
		t.Errorf("%d statuses in a minute, %d refused", made, h.installation.Refused())
	}
	for made < 500 { // the minutes of an hour
		h.pass(time.Minute)
		for n := 0; n < 80 && made < 500; n++ {
			if r := create(); r.status != http.StatusCreated {
				t.Fatalf("after %d: %d %s", made, r.status, r.text)
			}
			made++
		}
	}
	h.pass(time.Minute)
	if r := create(); r.status != http.StatusForbidden {
		t.Errorf("the 501st of an hour: %d", r.status)
	}
	h.pass(time.Minute)
	n := 0
	for ; n < 2000 && read() == http.StatusOK; n++ {
	}
	if n != 900 {
		t.Errorf("%d points in a minute", n)
	}
	h.pass(time.Minute)
	if read() != http.StatusOK {
		t.Error("the next minute is refused")
	}
}

func TestCheckRunsShowWhatFits(t *testing.T) {
	h := newHook(t)
	sha := push(t, h.repo, "main", map[string]string{"a": "b"})
	token, id := h.token(t), h.createRun(t, sha)
	note := map[string]any{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
	with := func(key string, v any) map[string]any {
		out := map[string]any{}
		for k, old := range note {
			out[k] = old
		}
		out[key] = v
		return out
	}
	for name, tt := range map[string]struct {
		body map[string]any
		want int
	}{
		"a long text":            {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "text": strings.Repeat("é", 65_535)}}, 200},
		"a text too long":        {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "text": strings.Repeat("é", 65_536)}}, 422},
		"no summary":             {map[string]any{"output": map[string]any{"title": "t"}}, 422},
		"an annotation":          {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": []any{note}}}, 200},
		"of no known level":      {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": []any{with("annotation_level", "loud")}}}, 422},
		"a column of many lines": {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": []any{map[string]any{"path": "a", "start_line": 1, "end_line": 2, "start_column": 1, "annotation_level": "notice", "message": "m"}}}}, 422},
		"51 annotations":         {map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": slices.Repeat([]any{note}, 51)}}, 422},
		"four buttons":           {map[string]any{"actions": slices.Repeat([]any{map[string]any{"label": "l", "description": "d", "identifier": "i"}}, 4)}, 422},
		"a long label":           {map[string]any{"actions": []any{map[string]any{"label": strings.Repeat("l", 21), "description": "d", "identifier": "i"}}}, 422},
	} {
		if r := h.call(t, http.MethodPatch, "repos/acme/app/check-runs/"+strconv.FormatInt(id, 10), token, tt.body); r.status != tt.want {
			t.Errorf("%s: %d, want %d: %.300s", name, r.status, tt.want, r.text)
		}
	}
	h.server.MarkStale(id)
	if r := h.call(t, http.MethodPatch, "repos/acme/app/check-runs/"+strconv.FormatInt(id, 10), token, map[string]any{"status": "in_progress"}); r.status != 422 {
		t.Errorf("a stale one goes on: %d", r.status)
	}
	h.server.LoseRun(id)
	if r := h.call(t, http.MethodGet, "repos/acme/app/check-runs/"+strconv.FormatInt(id, 10), token, nil); r.status != 404 {
		t.Errorf("a lost one is there: %d", r.status)
	}
}
