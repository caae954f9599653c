// Package message has the messages that notify sends, and the rules that each must keep before it is
// taken (taskcluster-map 9 and appendix B). Checks return faults whose text is for the sender.
package message

import (
	"encoding/json"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/internal/fault"
)

// The channels, as routes and the denylist call them.
const (
	ChannelEmail  = "email"
	ChannelPulse  = "pulse"
	ChannelMatrix = "matrix-room"
	ChannelSlack  = "slack-channel"
)

// Channels lists all of them.
func Channels() []string { return []string{ChannelEmail, ChannelPulse, ChannelMatrix, ChannelSlack} }

// The limits of messages. Subject and link are counted in characters, the others in bytes.
const (
	MaxSubject  = 255
	MaxContent  = 102400
	MaxLinkText = 40
	MaxLinkHref = 1024
	MaxAddress  = 255
	MaxTopic    = 247       // of pulse: "primary." and it are a routing key of AMQP
	MaxBody     = 512 << 10 // of a message to Slack, Matrix or pulse, as JSON
)

// Message is one of Email, Pulse, Matrix and Slack.
type Message interface {
	Channel() string
	To() string // the address in its channel
	Check() error
}

// Email is a message by mail.
type Email struct {
	Address  string `json:"address"`
	Subject  string `json:"subject"`
	Content  string `json:"content"` // Markdown
	Link     *Link  `json:"link,omitempty"`
	ReplyTo  string `json:"replyTo,omitempty"`
	Template string `json:"template,omitempty"` // simple, which "" is too, or fullscreen
	// Why tells the reader in the last lines why it was sent. Not on the wire.
	Why string `json:"-"`
	// State paints the mail in the colour of a task's state; "" is none. Not on the wire.
	State string `json:"-"`
	// Key makes it known again: what has the same key is mailed once. "" stands for the content. Not on the wire.
	Key string `json:"-"`
}

// Link is a button in a mail.
type Link struct {
	Text string `json:"text"`
	Href string `json:"href"`
}

// Pulse is a message on RabbitMQ, and in the feed of events.
type Pulse struct {
	RoutingKey string          `json:"routingKey"`
	Message    json.RawMessage `json:"message"` // an object
}

// Matrix is a message to a room of Matrix.
type Matrix struct {
	RoomID        string `json:"roomId"`
	Body          string `json:"body"`
	Format        string `json:"format,omitempty"`
	FormattedBody string `json:"formattedBody,omitempty"`
	Msgtype       string `json:"msgtype,omitempty"` // m.notice, which "" is too, m.text or m.emote
}

// Slack is a message to a channel of Slack.
type Slack struct {
	ChannelID   string            `json:"channelId"`
	Text        string            `json:"text"`
	Blocks      []json.RawMessage `json:"blocks,omitempty"`
	Attachments []json.RawMessage `json:"attachments,omitempty"`
	UnfurlLinks bool              `json:"unfurlLinks,omitempty"`
	UnfurlMedia bool              `json:"unfurlMedia,omitempty"`
}

// Channel implements Message.
func (Email) Channel() string { return ChannelEmail }

// Channel implements Message.
func (Pulse) Channel() string { return ChannelPulse }

// Channel implements Message.
func (Matrix) Channel() string { return ChannelMatrix }

// Channel implements Message.
func (Slack) Channel() string { return ChannelSlack }

// To implements Message.
func (m Email) To() string { return m.Address }

// To implements Message.
func (m Pulse) To() string { return m.RoutingKey }

// To implements Message.
func (m Matrix) To() string { return m.RoomID }

// To implements Message.
func (m Slack) To() string { return m.ChannelID }

// Failure is why a message did not get to where it should.
type Failure struct {
	Message   string        // for people; no secrets
	Temporary bool          // it may work later, without a change of the message
	After     time.Duration // how long the other side asks to wait; 0: it does not say
	Forbidden bool          // the other side knows the place, but we may not speak there
	Err       error         // the cause; may be nil
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Message
	}
	return f.Message + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// Check implements Message.
func (m Email) Check() error {
	if err := CheckMailAddress("address", m.Address); err != nil {
		return err
	}
	if m.ReplyTo != "" {
		if err := CheckMailAddress("replyTo", m.ReplyTo); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(m.Subject, unicode.IsControl) || !utf8.ValidString(m.Subject) {
		return invalid("The subject has a line break or another control character, which a header of a mail must not have.")
	}
	if n := utf8.RuneCountInString(m.Subject); n == 0 || n > MaxSubject {
		return invalid("The subject has %d characters; it must have 1 to %d.", n, MaxSubject)
	}
	if len(m.Content) == 0 || len(m.Content) > MaxContent || !utf8.ValidString(m.Content) {
		return invalid("The content has %d bytes; it must be text of 1 to %d bytes.", len(m.Content), MaxContent)
	}
	if m.Template != "" && m.Template != "simple" && m.Template != "fullscreen" {
		return invalid("There is no template %.40q: it is simple or fullscreen.", m.Template)
	}
	if m.Link != nil {
		return m.Link.check()
	}
	return nil
}

func (l Link) check() error {
	if n := utf8.RuneCountInString(l.Text); n == 0 || n > MaxLinkText || strings.ContainsFunc(l.Text, unicode.IsControl) {
		return invalid("The text of the link must be one line of 1 to %d characters.", MaxLinkText)
	}
	u, err := url.Parse(l.Href)
	if err != nil || len(l.Href) > MaxLinkHref || !slices.Contains([]string{"http", "https", "mailto"}, u.Scheme) || u.Host == "" && u.Scheme != "mailto" {
		return invalid("The link does not lead anywhere: href must be an address that begins with https://, http:// or mailto:, of at most %d bytes.", MaxLinkHref)
	}
	return nil
}

// CheckMailAddress refuses what is not the bare address of one mailbox. what names it in the error.
func CheckMailAddress(what, address string) error {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || len(address) > 254 || strings.ContainsFunc(address, unicode.IsControl) || strings.ContainsAny(address, " <>") {
		return invalid("The %s %.100q is no e-mail address: give one mailbox, such as someone@example.com, without a name.", what, address)
	}
	return nil
}

// Check implements Message.
func (m Pulse) Check() error {
	if m.RoutingKey == "" || len(m.RoutingKey) > MaxTopic {
		return invalid("The routing key has %d bytes; it must have 1 to %d.", len(m.RoutingKey), MaxTopic)
	}
	return checkSize(m)
}

// Check implements Message.
func (m Matrix) Check() error {
	if strings.HasPrefix(m.RoomID, "#") {
		return invalid("The room %.100q is an alias: give the internal id, which begins with \"!\" and stands in the settings of the room under \"advanced\".", m.RoomID)
	}
	if err := checkAddress("roomId", m.RoomID); err != nil {
		return err
	}
	if !strings.HasPrefix(m.RoomID, "!") {
		return invalid("The room %.100q is no internal id of a room: that begins with \"!\".", m.RoomID)
	}
	if !slices.Contains([]string{"", "m.notice", "m.text", "m.emote"}, m.Msgtype) {
		return invalid("The msgtype %.40q is not sent: it is m.notice, m.text or m.emote.", m.Msgtype)
	}
	return checkSize(m)
}

// Check implements Message.
func (m Slack) Check() error {
	if err := checkAddress("channelId", m.ChannelID); err != nil {
		return err
	}
	return checkSize(m)
}

func checkAddress(what, address string) error {
	if address == "" || len(address) > MaxAddress || strings.ContainsFunc(address, unicode.IsControl) {
		return invalid("The %s must be one line of 1 to %d bytes.", what, MaxAddress)
	}
	return nil
}

func checkSize(m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The message is no JSON.")
	}
	if len(text) > MaxBody {
		return fault.New(fault.TooLarge, "The message has %d bytes; it may have %d.", len(text), MaxBody)
	}
	return nil
}
