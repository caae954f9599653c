package mail

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	netmail "net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/treeline-ci/treeline/notify/message"
)

//go:embed letter.html
var letterHTML string

// colours are those of a task's states, as a strip on top.
var colours = map[string]string{
	"completed": "#1f8a4c", "failed": "#c9302c", "exception": "#8e44ad", "running": "#1d5fbf", "pending": "#b7791f", "unscheduled": "#7a8494",
}

// view is what letter.html shows.
type view struct {
	Subject, Why, Root string
	Content            template.HTML
	Link               *message.Link
	Full               bool
	Colour             template.CSS
}

// compose makes the mail: text first, HTML for those who can show it. id is its Message-ID, without the
// host; it is the same each time the message is tried.
func (s *Sender) compose(m message.Email, id string) (*gomail.Msg, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	html, err := s.HTML(m)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(&netmail.Address{Address: m.Address})
	if m.ReplyTo != "" {
		msg.ReplyToMailAddress(&netmail.Address{Address: m.ReplyTo})
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(id + "@" + s.host)
	// Nobody's holiday answers this.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(gomail.TypeTextPlain, s.Text(m))
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	return msg, nil
}

// HTML is the mail for programs that show HTML.
func (s *Sender) HTML(m message.Email) (string, error) {
	content, err := s.markdown.html(m.Content)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = s.letter.Execute(&out, view{
		Subject: m.Subject, Why: m.Why, Root: s.root, Content: content, Link: m.Link, Full: m.Template == "fullscreen",
		Colour: template.CSS(colours[m.State]), //nolint:gosec // one of those above
	})
	if err != nil {
		return "", fmt.Errorf("mail: compose: %w", err)
	}
	return out.String(), nil
}

// Text is the mail for programs that show text: the Markdown as it is, then the link.
func (s *Sender) Text(m message.Email) string {
	text := strings.TrimSpace(strings.ReplaceAll(m.Content, "\r\n", "\n")) + "\n"
	if m.Link != nil {
		text += "\n" + m.Link.Text + ": " + m.Link.Href + "\n"
	}
	text += "\n-- \n"
	if m.Why != "" {
		text += m.Why + "\n"
	}
	return text + "Sent by Treeline at " + s.root + "\n"
}
