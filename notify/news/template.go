package news

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"strings"

	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// limits stop templates that ask for more than a message is worth.
var limits = jsone.Limits{Steps: 200_000, Depth: 200, Output: 1 << 20}

// templates are the parts that a task brings in task.extra.notify. A part that cannot be used leaves the
// default in place, and the reader is told.
type templates struct {
	parts    map[string]any
	context  map[string]any
	options  jsone.Options
	problems []string
}

// templates returns false when the task brings none.
func (s *Story) templates() (*templates, bool) {
	var extra struct {
		Notify json.RawMessage `json:"notify"`
	}
	if json.Unmarshal(s.Task.Extra, &extra) != nil || len(extra.Notify) == 0 || string(extra.Notify) == "null" {
		return nil, false
	}
	t := &templates{options: jsone.Options{Now: s.Now, Limits: limits}}
	parts, err := jsone.DecodeJSON(extra.Notify)
	object, ok := parts.(*jsone.Object)
	if err != nil || !ok {
		t.problem("extra.notify", errors.New("it is no object"))
		return t, true
	}
	t.parts = object.Map()
	definition, err := json.Marshal(s.Task)
	if err != nil {
		t.problem("the definition", err)
	}
	t.context = map[string]any{"taskId": s.TaskID, "rootUrl": s.RootURL}
	for name, text := range map[string][]byte{"task": definition, "status": s.Raw} {
		if t.context[name], err = jsone.DecodeJSON(text); err != nil {
			t.problem(name, err)
		}
	}
	return t, true
}

func (t *templates) problem(part string, err error) {
	t.problems = append(t.problems, line(fmt.Sprintf("%s: %v", part, err), 400))
}

// render gives a part to use; false when there is none or it cannot be rendered.
func (t *templates) render(part string, template any, use func(any) error) {
	if template == nil {
		return
	}
	value, err := jsone.Render(template, t.context, t.options)
	if err == nil {
		err = use(value)
	}
	if err != nil {
		t.problem("extra.notify."+part, err)
	}
}

// text is a use for what must be a string.
func text(use func(string) error) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New("the template does not give a string")
		}
		return use(s)
	}
}

// email puts the task's parts into the message.
func (t *templates) email(m message.Email) message.Email {
	parts, ok := t.parts["email"].(map[string]any)
	if !ok && t.parts["email"] != nil {
		t.problem("extra.notify.email", errors.New("it is no object"))
	}
	if ok {
		// A part is taken when the message with it keeps the rules.
		keep := func(change func(*message.Email)) error {
			with := m
			change(&with)
			if err := with.Check(); err != nil {
				return err
			}
			m = with
			return nil
		}
		t.render("email.subject", parts["subject"], text(func(s string) error { return keep(func(m *message.Email) { m.Subject = s }) }))
		t.render("email.content", parts["content"], text(func(s string) error { return keep(func(m *message.Email) { m.Content = s }) }))
		t.render("email.template", parts["template"], text(func(s string) error { return keep(func(m *message.Email) { m.Template = s }) }))
		t.render("email.link", parts["link"], func(v any) error {
			var link message.Link
			if err := as(v, &link); err != nil {
				return errors.New("the template does not give an object with text and href")
			}
			return keep(func(m *message.Email) { m.Link = &link })
		})
	}
	if len(t.problems) > 0 {
		m.Content += "\n\n---\n\nWhat the task says about this message could not be used, so it is the usual one in part or whole:\n"
		for _, p := range t.problems {
			m.Content += "\n- " + message.Code(p)
		}
		m.Content += "\n"
	}
	return m
}

// as reads a rendered value into a type.
func as(v, into any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (t *templates) slack(m message.Slack) message.Slack {
	list := func(into *[]json.RawMessage) func(any) error {
		return func(v any) error {
			if _, ok := v.([]any); !ok {
				return errors.New("the template does not give a list")
			}
			with := m
			var made []json.RawMessage
			if err := as(v, &made); err != nil {
				return err
			}
			with.Attachments = append(with.Attachments, made...)
			if err := with.Check(); err != nil {
				return err
			}
			*into = made
			return nil
		}
	}
	truth := func(into *bool) func(any) error {
		return func(v any) (err error) {
			if b, ok := v.(bool); ok {
				*into = b
				return nil
			}
			return errors.New("the template gives neither true nor false")
		}
	}
	t.render("slackText", t.parts["slackText"], text(func(s string) error {
		with := m
		with.Text = s
		with.Blocks = append([]json.RawMessage{slackSection(s)}, m.Blocks[1:]...)
		if err := with.Check(); err != nil {
			return err
		}
		m = with
		return nil
	}))
	t.render("slackBlocks", t.parts["slackBlocks"], list(&m.Blocks))
	t.render("slackAttachments", t.parts["slackAttachments"], list(&m.Attachments))
	t.render("slackUnfurlLinks", t.parts["slackUnfurlLinks"], truth(&m.UnfurlLinks))
	t.render("slackUnfurlMedia", t.parts["slackUnfurlMedia"], truth(&m.UnfurlMedia))
	if len(t.problems) > 0 {
		note := "What the task says about this message could not be used: " + forSlack(strings.Join(t.problems, "; "))
		m.Blocks = append(m.Blocks[:len(m.Blocks):len(m.Blocks)], slackContext(line(note, 1900)))
	}
	return m
}

func (t *templates) matrix(m message.Matrix) message.Matrix {
	keep := func(change func(*message.Matrix, string)) func(any) error {
		return text(func(s string) error {
			with := m
			change(&with, s)
			if err := with.Check(); err != nil {
				return err
			}
			m = with
			return nil
		})
	}
	t.render("matrixBody", t.parts["matrixBody"], keep(func(m *message.Matrix, s string) {
		m.Body, m.Format, m.FormattedBody = s, "", ""
	}))
	t.render("matrixFormat", t.parts["matrixFormat"], keep(func(m *message.Matrix, s string) { m.Format = s }))
	t.render("matrixFormattedBody", t.parts["matrixFormattedBody"], keep(func(m *message.Matrix, s string) { m.FormattedBody = s }))
	t.render("matrixMsgtype", t.parts["matrixMsgtype"], keep(func(m *message.Matrix, s string) { m.Msgtype = s }))
	if len(t.problems) > 0 {
		note := "What the task says about this message could not be used: " + strings.Join(t.problems, "; ")
		m.Body += "\n" + note
		if m.FormattedBody != "" {
			m.FormattedBody += "<br>" + html.EscapeString(note)
		}
	}
	return m
}
