// Package chattest runs servers for tests that speak the parts of the APIs of Slack and Matrix that post
// messages, as their documentation has them: with tokens, checks of what is sent, errors, and limits.
package chattest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// SlackToken is the one that Slack takes.
const SlackToken = "xoxb-1234-secret"

// SlackPost is a message that Slack took.
type SlackPost struct {
	Channel     string            `json:"channel"`
	Text        string            `json:"text"`
	Blocks      []json.RawMessage `json:"blocks"`
	Attachments []json.RawMessage `json:"attachments"`
	UnfurlLinks bool              `json:"unfurl_links"`
	UnfurlMedia bool              `json:"unfurl_media"`
}

// Slack is a workspace with the public channel C0PUBLIC, the private channel C0PRIVATE without the app, and
// the archived channel C0OLD.
type Slack struct {
	URL string

	mu      sync.Mutex
	posts   []SlackPost
	limited int // calls still to be told to wait
	wait    int
	broken  int // calls still to fail
	calls   int
}

// StartSlack starts one that ends with the test.
func StartSlack(t testing.TB) *Slack {
	s := &Slack{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/api"
	return s
}

// Limit has the next n calls told to wait for so many seconds.
func (s *Slack) Limit(n, seconds int) { s.mu.Lock(); s.limited, s.wait = n, seconds; s.mu.Unlock() }

// Break has the next n calls fail.
func (s *Slack) Break(n int) { s.mu.Lock(); s.broken = n; s.mu.Unlock() }

// Posts returns what was taken; calls counts those refused too.
func (s *Slack) Posts() (posts []SlackPost, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posts), s.calls
}

// ServeHTTP answers as Slack does: 200 for most errors, which the body names.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if r.URL.Path == "/api/auth.test" && r.Method == http.MethodPost {
		if code := refused(r); code != "" {
			answer(w, http.StatusOK, map[string]any{"ok": false, "error": code})
			return
		}
		answer(w, http.StatusOK, map[string]any{"ok": true, "user": "treeline", "user_id": "U061F7AUR", "team_id": "T061EG9R6"})
		return
	}
	if r.URL.Path != "/api/chat.postMessage" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	if s.broken > 0 {
		s.broken--
		http.Error(w, "<html>upstream is away</html>", http.StatusBadGateway)
		return
	}
	if s.limited > 0 {
		s.limited--
		w.Header().Set("Retry-After", strconv.Itoa(s.wait))
		answer(w, http.StatusTooManyRequests, map[string]any{"ok": false, "error": "ratelimited"})
		return
	}
	code, messages := s.take(r)
	if code != "" {
		answer(w, http.StatusOK, map[string]any{"ok": false, "error": code, "response_metadata": map[string]any{"messages": messages}})
		return
	}
	answer(w, http.StatusOK, map[string]any{"ok": true, "channel": s.posts[len(s.posts)-1].Channel, "ts": "1503435956.000247"})
}

// refused says what is wrong with the token; "" when nothing is.
func refused(r *http.Request) string {
	switch r.Header.Get("Authorization") {
	case "Bearer " + SlackToken:
		return ""
	case "":
		return "not_authed"
	}
	return "invalid_auth"
}

// take returns the error, "" for none.
func (s *Slack) take(r *http.Request) (code string, messages []string) {
	if code := refused(r); code != "" {
		return code, nil
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return "invalid_post_type", nil
	}
	text, err := io.ReadAll(r.Body)
	var post SlackPost
	if err != nil || json.Unmarshal(text, &post) != nil {
		return "invalid_json", nil
	}
	for _, b := range post.Blocks {
		var block struct {
			Type string `json:"type"`
			Text *struct {
				Type, Text string
			} `json:"text"`
		}
		if json.Unmarshal(b, &block) != nil || !slices.Contains([]string{"section", "context", "divider", "header", "actions", "image"}, block.Type) {
			return "invalid_blocks", []string{"[ERROR] unsupported type: " + block.Type}
		}
		if block.Type == "section" && (block.Text == nil || block.Text.Text == "" || len(block.Text.Text) > 3000) {
			return "invalid_blocks", []string{"[ERROR] must be between 1 and 3000 characters [json-pointer:/blocks/0/text/text]"}
		}
	}
	switch {
	case post.Channel == "C0OLD":
		return "is_archived", nil
	case post.Channel == "C0PRIVATE":
		return "not_in_channel", nil
	case post.Channel != "C0PUBLIC":
		return "channel_not_found", nil
	case post.Text == "" && len(post.Blocks)+len(post.Attachments) == 0:
		return "no_text", nil
	case len(post.Text) > 40000:
		return "msg_too_long", nil
	}
	s.posts = append(s.posts, post)
	return "", nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
