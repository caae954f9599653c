package chattest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// MatrixToken is the one that the homeserver takes, and Room a room where its user may speak.
const (
	MatrixToken = "syt_c2VjcmV0_token"
	Room        = "!whDRjjSmICCgrhFHsQ:example.org"
)

// MatrixEvent is a message in a room.
type MatrixEvent struct {
	Room, Txn     string
	Msgtype       string `json:"msgtype"`
	Body          string `json:"body"`
	Format        string `json:"format"`
	FormattedBody string `json:"formatted_body"`
}

// Matrix is a homeserver with one room.
type Matrix struct {
	URL string

	mu      sync.Mutex
	events  []MatrixEvent
	limited int
	wait    int // milliseconds
	lost    int // answers still to be lost, after the message was taken
	calls   int
}

// StartMatrix starts one that ends with the test.
func StartMatrix(t testing.TB) *Matrix {
	m := &Matrix{}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.URL = server.URL
	return m
}

// Limit has the next n calls told to wait for so many milliseconds.
func (m *Matrix) Limit(n, milliseconds int) {
	m.mu.Lock()
	m.limited, m.wait = n, milliseconds
	m.mu.Unlock()
}

// Lose has the answers to the next n calls lost, after the message was taken.
func (m *Matrix) Lose(n int) { m.mu.Lock(); m.lost = n; m.mu.Unlock() }

// Events returns the messages; calls counts those refused or repeated too.
func (m *Matrix) Events() (events []MatrixEvent, calls int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events), m.calls
}

// ServeHTTP answers as the client-server API says. A transaction id that was seen changes nothing.
func (m *Matrix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	refuse := func(status int, code, text string) { answer(w, status, map[string]any{"errcode": code, "error": text}) }
	if r.Method == http.MethodGet && r.URL.Path == "/_matrix/client/v3/account/whoami" {
		if r.Header.Get("Authorization") != "Bearer "+MatrixToken {
			refuse(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", "Unknown token")
			return
		}
		answer(w, http.StatusOK, map[string]any{"user_id": "@treeline:example.org", "is_guest": false})
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/_matrix/client/v3/rooms/"), "/")
	if r.Method != http.MethodPut || len(parts) != 4 || parts[1] != "send" || parts[2] != "m.room.message" {
		refuse(http.StatusNotFound, "M_UNRECOGNIZED", "Unrecognized request")
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+MatrixToken {
		refuse(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", "Unknown token")
		return
	}
	if m.limited > 0 {
		m.limited--
		answer(w, http.StatusTooManyRequests, map[string]any{"errcode": "M_LIMIT_EXCEEDED", "error": "Too many requests", "retry_after_ms": m.wait})
		return
	}
	room, err := url.PathUnescape(parts[0])
	if err != nil || room != Room {
		refuse(http.StatusForbidden, "M_FORBIDDEN", "User not in room "+room)
		return
	}
	text, err := io.ReadAll(r.Body)
	e := MatrixEvent{Room: room, Txn: parts[3]}
	if err != nil || json.Unmarshal(text, &e) != nil {
		refuse(http.StatusBadRequest, "M_NOT_JSON", "Content not JSON.")
		return
	}
	if len(text) > 65536 {
		refuse(http.StatusRequestEntityTooLarge, "M_TOO_LARGE", "event too large")
		return
	}
	if !slices.ContainsFunc(m.events, func(old MatrixEvent) bool { return old.Txn == e.Txn }) {
		m.events = append(m.events, e)
	}
	if m.lost > 0 {
		m.lost--
		panic(http.ErrAbortHandler)
	}
	answer(w, http.StatusOK, map[string]any{"event_id": "$" + e.Txn})
}
