package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/message"
)

var quiet = slog.New(slog.DiscardHandler)

func slackOf(t *testing.T, c chat.SlackConfig) *chat.Slack {
	t.Helper()
	s, err := chat.NewSlack(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func matrixOf(t *testing.T, c chat.MatrixConfig) *chat.Matrix {
	t.Helper()
	m, err := chat.NewMatrix(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// failure checks an error and what it says.
func failure(t *testing.T, err error, temporary bool, says ...string) *message.Failure {
	t.Helper()
	var f *message.Failure
	if !errors.As(err, &f) || f.Temporary != temporary {
		t.Fatalf("%#v", err)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	for _, secret := range []string{chattest.SlackToken, chattest.MatrixToken} {
		if strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("%+v tells the token", err)
		}
	}
	return f
}

func TestSlackTakesAMessage(t *testing.T) {
	server := chattest.StartSlack(t)
	s := slackOf(t, chat.SlackConfig{Token: chattest.SlackToken, URL: server.URL})
	block := json.RawMessage(`{"type":"section","text":{"type":"mrkdwn","text":"x"}}`)
	err := s.Send(t.Context(), message.Slack{ChannelID: "C0PUBLIC", Text: "hello", Blocks: []json.RawMessage{block}, UnfurlLinks: true})
	if err != nil {
		t.Fatal(err)
	}
	posts, _ := server.Posts()
	if diff := cmp.Diff([]chattest.SlackPost{{Channel: "C0PUBLIC", Text: "hello", Blocks: []json.RawMessage{block}, UnfurlLinks: true}}, posts); diff != "" {
		t.Error(diff)
	}
}

func TestWhatSlackRefuses(t *testing.T) {
	server := chattest.StartSlack(t)
	s := slackOf(t, chat.SlackConfig{Token: chattest.SlackToken, URL: server.URL})
	for name, c := range map[string]struct {
		m    message.Slack
		says string
	}{
		"unknown":  {message.Slack{ChannelID: "C404", Text: "x"}, "there is no such channel"},
		"private":  {message.Slack{ChannelID: "C0PRIVATE", Text: "x"}, "add it there"},
		"archived": {message.Slack{ChannelID: "C0OLD", Text: "x"}, "archived"},
		"empty":    {message.Slack{ChannelID: "C0PUBLIC"}, "neither text"},
		"long":     {message.Slack{ChannelID: "C0PUBLIC", Text: strings.Repeat("x", 50000)}, "too long"},
		"blocks":   {message.Slack{ChannelID: "C0PUBLIC", Text: "x", Blocks: []json.RawMessage{json.RawMessage(`{"type":"bomb"}`)}}, "unsupported type: bomb"},
		"huge":     {message.Slack{ChannelID: "C0PUBLIC", Text: strings.Repeat("x", 1<<20)}, "it may have"},
		"newline":  {message.Slack{ChannelID: "C0\nPUBLIC", Text: "x"}, "one line"},
	} {
		t.Run(name, func(t *testing.T) { failure(t, s.Send(t.Context(), c.m), false, c.says) })
	}
	if posts, _ := server.Posts(); len(posts) > 0 {
		t.Errorf("%+v", posts)
	}
	bad := slackOf(t, chat.SlackConfig{Token: "xoxb-wrong", URL: server.URL})
	failure(t, bad.Send(t.Context(), message.Slack{ChannelID: "C0PUBLIC", Text: "x"}), true, "an operator must renew it", "invalid_auth")
}

func TestLimitsOfSlackAreKept(t *testing.T) {
	server := chattest.StartSlack(t)
	s := slackOf(t, chat.SlackConfig{Token: chattest.SlackToken, URL: server.URL})
	server.Limit(1, 1)
	m := message.Slack{ChannelID: "C0PUBLIC", Text: "x"}
	if err := s.Send(t.Context(), m); err != nil {
		t.Errorf("a short wait: %v", err)
	}
	server.Limit(1, 300)
	if f := failure(t, s.Send(t.Context(), m), true, "ratelimited"); f.After != 300*time.Second {
		t.Errorf("it waits for %v", f.After)
	}
	server.Break(1)
	failure(t, s.Send(t.Context(), m), true, "502")
	if _, calls := server.Posts(); calls != 4 {
		t.Errorf("%d calls: what may have been posted must not be posted again at once", calls)
	}
}

func TestMatrixTakesAMessageOnce(t *testing.T) {
	server := chattest.StartMatrix(t)
	m := matrixOf(t, chat.MatrixConfig{Homeserver: server.URL + "/", Token: chattest.MatrixToken})
	server.Lose(1)
	if err := m.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: "b", FormattedBody: "<b>b</b>"}, "txn1"); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: "c", Msgtype: "m.emote"}, "txn2"); err != nil {
		t.Fatal(err)
	}
	events, calls := server.Events()
	want := []chattest.MatrixEvent{
		{Room: chattest.Room, Txn: "txn1", Msgtype: "m.notice", Body: "b", Format: "org.matrix.custom.html", FormattedBody: "<b>b</b>"},
		{Room: chattest.Room, Txn: "txn2", Msgtype: "m.emote", Body: "c"},
	}
	if diff := cmp.Diff(want, events); diff != "" || calls != 3 {
		t.Error(calls, diff)
	}
}

func TestWhatMatrixRefuses(t *testing.T) {
	server := chattest.StartMatrix(t)
	m := matrixOf(t, chat.MatrixConfig{Homeserver: server.URL, Token: chattest.MatrixToken})
	if f := failure(t, m.Send(t.Context(), message.Matrix{RoomID: "!other:example.org", Body: "x"}, "t"), false, "M_FORBIDDEN", "invite it"); !f.Forbidden {
		t.Error("it does not say that it is forbidden")
	}
	failure(t, m.Send(t.Context(), message.Matrix{RoomID: "#alias:example.org", Body: "x"}, "t"), false, "is an alias", "internal id")
	failure(t, m.Send(t.Context(), message.Matrix{RoomID: "!../../x", Body: "x"}, "t"), false, "M_FORBIDDEN")
	failure(t, m.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: strings.Repeat("x", 70000)}, "t"), false, "M_TOO_LARGE")
	server.Limit(1, 90_000)
	if f := failure(t, m.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: "x"}, "t"), true, "M_LIMIT_EXCEEDED"); f.After != 90*time.Second {
		t.Errorf("it waits for %v", f.After)
	}
	bad := matrixOf(t, chat.MatrixConfig{Homeserver: server.URL, Token: "wrong"})
	failure(t, bad.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: "x"}, "t"), true, "an operator must renew it")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inside.Close()
	outside := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer outside.Close()
	m := matrixOf(t, chat.MatrixConfig{Homeserver: outside.URL, Token: chattest.MatrixToken})
	failure(t, m.Send(t.Context(), message.Matrix{RoomID: chattest.Room, Body: "x"}, "t"), true, "307")
	if reached {
		t.Error("the token went elsewhere")
	}
}

func TestSettings(t *testing.T) {
	for _, base := range []string{"http://matrix.example.com", "ftp://x", "https://u:p@x", "x", "https://x?y=1"} {
		if _, err := chat.NewMatrix(chat.MatrixConfig{Homeserver: base, Token: "t"}, quiet); err == nil {
			t.Errorf("%s is taken", base)
		}
	}
	if _, err := chat.NewMatrix(chat.MatrixConfig{Homeserver: "https://x"}, quiet); err == nil {
		t.Error("a homeserver without a token is taken")
	}
	s, err := chat.NewSlack(chat.SlackConfig{}, quiet)
	if s != nil || err != nil {
		t.Error(s, err)
	}
}
