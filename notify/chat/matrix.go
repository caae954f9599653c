package chat

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/notify/message"
)

// MatrixConfig says how Matrix is reached; not at all without both.
type MatrixConfig struct {
	Homeserver string `yaml:"homeserver"` // such as https://matrix.example.com
	Token      string `yaml:"token"`      // access token of the user that speaks
}

// Matrix speaks in rooms as one user. It is safe for concurrent use.
type Matrix struct {
	caller
	base string
}

// NewMatrix returns nil when nothing is configured.
func NewMatrix(c MatrixConfig, log *slog.Logger) (*Matrix, error) {
	if c.Homeserver == "" && c.Token == "" {
		return nil, nil
	}
	if c.Homeserver == "" || c.Token == "" {
		return nil, fmt.Errorf("matrix: give both the homeserver and an access token")
	}
	base := strings.TrimSuffix(c.Homeserver, "/")
	if err := CheckBase("matrix", base); err != nil {
		return nil, err
	}
	return &Matrix{newCaller("The Matrix homeserver", c.Token, true, log), base}, nil
}

// Send puts the message into the room. txn is its transaction id: what has the same one arrives once.
func (x *Matrix) Send(ctx context.Context, m message.Matrix, txn string) error {
	if err := m.Check(); err != nil {
		return &message.Failure{Message: "The message cannot be sent", Err: err}
	}
	body := map[string]string{"msgtype": cmp.Or(m.Msgtype, "m.notice"), "body": m.Body}
	if m.FormattedBody != "" {
		body["format"] = cmp.Or(m.Format, "org.matrix.custom.html")
		body["formatted_body"] = m.FormattedBody
	}
	var answer struct {
		EventID    string  `json:"event_id"`
		Code       string  `json:"errcode"`
		Error      string  `json:"error"`
		RetryAfter float64 `json:"retry_after_ms"`
	}
	address := x.base + "/_matrix/client/v3/rooms/" + url.PathEscape(m.RoomID) + "/send/m.room.message/" + url.PathEscape(txn)
	status, header, err := x.call(ctx, http.MethodPut, address, body, &answer)
	if err != nil {
		return err
	}
	if status == http.StatusOK && answer.EventID != "" {
		return nil
	}
	f := &message.Failure{
		After:   max(retryAfter(header), time.Duration(min(answer.RetryAfter, 86400e3)*float64(time.Millisecond))),
		Message: fmt.Sprintf("The Matrix homeserver does not take the message for room %s: %s (%s)", m.RoomID, cmp.Or(answer.Error, http.StatusText(status)), cmp.Or(answer.Code, fmt.Sprint(status))),
	}
	switch answer.Code {
	case "M_FORBIDDEN":
		f.Forbidden = true
		f.Message = fmt.Sprintf("The user of this server may not speak in room %s (M_FORBIDDEN): invite it, and let it join", m.RoomID)
	case "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED":
		f.Temporary = true
		f.Message = fmt.Sprintf("The Matrix homeserver does not accept the token of this server (%s): an operator must renew it", answer.Code)
	default:
		f.Temporary = answer.Code == "M_LIMIT_EXCEEDED" || status == http.StatusTooManyRequests || status >= 500 || status < 300
	}
	return f
}
