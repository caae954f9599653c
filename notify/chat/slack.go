package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/notify/message"
)

// SlackConfig says how Slack is reached; not at all without a token.
type SlackConfig struct {
	Token string `yaml:"token"` // of a bot, xoxb-…, with the scopes chat:write and chat:write.public
	URL   string `yaml:"url"`   // of the API; https://slack.com/api when empty
}

// Slack posts to channels of a workspace. It is safe for concurrent use.
type Slack struct {
	caller
	base string
}

// NewSlack returns nil when nothing is configured.
func NewSlack(c SlackConfig, log *slog.Logger) (*Slack, error) {
	if c.Token == "" {
		return nil, nil
	}
	base := strings.TrimSuffix(cmp.Or(c.URL, "https://slack.com/api"), "/")
	if err := CheckBase("slack", base); err != nil {
		return nil, err
	}
	return &Slack{newCaller("Slack", c.Token, false, log), base}, nil
}

// slackErrors says what Slack's words mean for people; others are told as they are.
var slackErrors = map[string]string{
	"channel_not_found": "there is no such channel, or it is private and the app was not added to it",
	"not_in_channel":    "the app is not in the channel: add it there",
	"is_archived":       "the channel is archived",
	"msg_too_long":      "the text is too long",
	"no_text":           "there is neither text nor anything else to show",
	"invalid_blocks":    "the blocks do not fit Slack's rules",
}

// The words that say that it is not the message's fault.
var (
	slackLater    = []string{"ratelimited", "rate_limited", "message_limit_exceeded", "fatal_error", "internal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
	slackOperator = []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission", "missing_scope", "org_login_required", "access_denied", "two_factor_setup_required"}
)

// Send posts the message. Slack does not tell a repetition from a new message.
func (s *Slack) Send(ctx context.Context, m message.Slack) error {
	if err := m.Check(); err != nil {
		return &message.Failure{Message: "The message cannot be sent", Err: err}
	}
	body := map[string]any{"channel": m.ChannelID, "text": m.Text, "unfurl_links": m.UnfurlLinks, "unfurl_media": m.UnfurlMedia}
	if len(m.Blocks) > 0 {
		body["blocks"] = m.Blocks
	}
	if len(m.Attachments) > 0 {
		body["attachments"] = m.Attachments
	}
	var answer struct {
		OK       bool   `json:"ok"`
		Error    string `json:"error"`
		Needed   string `json:"needed"`
		Metadata struct {
			Messages []string `json:"messages"`
		} `json:"response_metadata"`
	}
	status, header, err := s.call(ctx, http.MethodPost, s.base+"/chat.postMessage", body, &answer)
	if err != nil {
		return err
	}
	if answer.OK && status == http.StatusOK {
		return nil
	}
	f := &message.Failure{Forbidden: answer.Error == "not_in_channel", After: retryAfter(header)}
	f.Message = fmt.Sprintf("Slack does not take the message for channel %s: %s", m.ChannelID, cmp.Or(slackErrors[answer.Error], "it says "+cmp.Or(answer.Error, http.StatusText(status))))
	if len(answer.Metadata.Messages) > 0 {
		f.Err = errors.New(strings.Join(answer.Metadata.Messages, "; "))
	}
	switch {
	case slices.Contains(slackOperator, answer.Error):
		f.Temporary = true
		f.Message = fmt.Sprintf("Slack does not accept the token of this server (%s): an operator must renew it", answer.Error)
		if answer.Needed != "" {
			f.Message += ", with the scope " + answer.Needed
		}
	case slices.Contains(slackLater, answer.Error) || status == http.StatusTooManyRequests || status >= 500 || answer.Error == "":
		f.Temporary = true
		f.After = max(f.After, time.Second)
	}
	return f
}
