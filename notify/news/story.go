package news

import (
	"encoding/json"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

// Story is what happened to a task, with all that a message may tell of it.
type Story struct {
	Event   string // see Event
	TaskID  string
	RunID   *int            // of the run that it is about; nil without one
	Status  task.Status     // after it
	Raw     json.RawMessage // the status as the event has it, for templates
	Task    task.Definition
	RootURL string
	Route   string    // that asks for it
	Failure string    // first line of the log that looks like a failure; "" for none
	Now     time.Time // for templates
}

// Run is the run that the story is about; nil without one.
func (s *Story) Run() *task.Run {
	if s.RunID == nil || *s.RunID < 0 || *s.RunID >= len(s.Status.Runs) {
		return nil
	}
	return &s.Status.Runs[*s.RunID]
}

// Make returns the message for a channel: the default, with the parts that the task brings templates for.
// An error says that there can be none.
func (s *Story) Make(channel, address string) (message.Message, error) {
	var m message.Message
	switch channel {
	case message.ChannelEmail:
		m = s.email(address)
	case message.ChannelSlack:
		m = s.slack(address)
	case message.ChannelMatrix:
		m = s.matrix(address)
	case message.ChannelPulse:
		m = message.Pulse{RoutingKey: address, Message: s.Raw}
	default:
		return nil, fmt.Errorf("there is no channel %q", channel)
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	t, ok := s.templates()
	if !ok {
		return m, nil
	}
	switch m := m.(type) {
	case message.Email:
		return t.email(m), nil
	case message.Slack:
		return t.slack(m), nil
	case message.Matrix:
		return t.matrix(m), nil
	}
	return m, nil
}

func (s *Story) taskURL() string  { return s.RootURL + "/tasks/" + s.TaskID }
func (s *Story) groupURL() string { return s.RootURL + "/tasks/groups/" + s.Task.TaskGroupID }

func (s *Story) logURL() string {
	run := s.Run()
	if run == nil || run.Started == nil {
		return ""
	}
	return s.taskURL() + "/runs/" + strconv.Itoa(run.RunID) + "/logs/public/logs/live.log"
}

// name is the task's name in one line, not longer than a header bears.
func (s *Story) name() string { return line(s.Task.Metadata.Name, 180) }

// line makes one line of text, of at most n characters.
func line(text string, n int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// happened says in words what did.
func (s *Story) happened() string {
	switch s.Event {
	case "defined":
		return "was created"
	case "pending":
		return "waits for a worker"
	case "running":
		return "is running"
	case "exception":
		if s.Status.State != task.Exception {
			return "lost a run, and is tried again"
		}
		return "ended as exception"
	}
	return s.Event
}

// reasons say what the reasons of exceptions mean.
var reasons = map[task.ReasonResolved]string{
	task.ReasonClaimExpired:        "its worker was lost",
	task.ReasonWorkerShutdown:      "its worker was shut down",
	task.ReasonIntermittentTask:    "the task asked to be tried again",
	task.ReasonMalformedPayload:    "the worker could not understand its payload",
	task.ReasonResourceUnavailable: "something that it needs could not be had",
	task.ReasonInternalError:       "the worker failed",
	task.ReasonCanceled:            "somebody canceled it",
	task.ReasonDeadlineExceeded:    "its deadline passed",
	task.ReasonSuperseded:          "a newer task took its place",
}

// why says in words why the run ended as it did; "" when the state says it all.
func (s *Story) why() string {
	run := s.Run()
	if run == nil || run.ReasonResolved == "" || string(run.ReasonResolved) == s.Event {
		return ""
	}
	if text, ok := reasons[run.ReasonResolved]; ok {
		return text + " (" + string(run.ReasonResolved) + ")"
	}
	return string(run.ReasonResolved)
}

// took says how long the run took; "" when that is not known.
func (s *Story) took() string {
	run := s.Run()
	if run == nil || run.Started == nil || run.Resolved == nil {
		return ""
	}
	d := run.Resolved.Sub(run.Started.Time)
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (s *Story) email(address string) message.Email {
	return message.Email{
		Address: address, State: s.state(),
		Subject: fmt.Sprintf("Task %s: %s - %s", s.Event, s.name(), s.TaskID),
		Content: s.markdown(),
		Link:    &message.Link{Text: "Inspect task", Href: s.taskURL()},
		Why:     "You get this because the task has the route " + s.Route + ".",
	}
}

// state is the one that the message is painted in.
func (s *Story) state() string {
	if s.Event == "defined" {
		return string(task.Unscheduled)
	}
	return s.Event
}

// markdown tells the story: what happened, the line of the log that matters, the facts, the way there.
func (s *Story) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s\n\n", message.Code(s.name()), s.happened())
	if why := s.why(); why != "" {
		fmt.Fprintf(&b, "%s.\n\n", strings.ToUpper(why[:1])+why[1:])
	}
	if s.Failure != "" {
		b.WriteString(message.Block(line(s.Failure, 400)) + "\n\n")
	}
	if text := line(s.Task.Metadata.Description, 500); text != "" && text != s.name() {
		b.WriteString(plain(text) + "\n\n")
	}
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "- **%s:** %s\n", name, value)
		}
	}
	if run := s.Run(); run != nil {
		text := strconv.Itoa(run.RunID)
		if took := s.took(); took != "" {
			text += ", took " + took
		}
		if run.WorkerID != "" {
			text += ", on " + message.Code(run.WorkerGroup+"/"+run.WorkerID)
		}
		fact("Run", text)
	}
	fact("Queue", message.Code(s.Task.TaskQueueID))
	fact("Owner", plain(line(s.Task.Metadata.Owner, 255)))
	if source := s.Task.Metadata.Source; strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "http://") {
		fact("Source", "<"+strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20").Replace(line(source, 1024))+">")
	}
	fact("Task", message.Code(s.TaskID))
	b.WriteString("\n")
	if log := s.logURL(); log != "" {
		fmt.Fprintf(&b, "[Log](%s) · ", log)
	}
	fmt.Fprintf(&b, "[Task group](%s)\n", s.groupURL())
	return b.String()
}

// plain writes text of people so that Markdown leaves it as it is.
func plain(text string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "&", `\&`, "~", `\~`, "#", `\#`, "|", `\|`).Replace(text)
}

var emoji = map[string]string{
	"defined": ":memo:", "pending": ":hourglass:", "running": ":hammer_and_wrench:",
	"completed": ":heavy_check_mark:", "failed": ":x:", "exception": ":heavy_exclamation_mark:",
}

// forSlack writes text so that Slack leaves it as it is.
func forSlack(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func (s *Story) slack(channel string) message.Slack {
	text := fmt.Sprintf("%s *<%s|%s>* %s", emoji[s.Event], s.taskURL(), forSlack(s.name()), s.happened())
	if why := s.why(); why != "" {
		text += ": " + why
	}
	context := fmt.Sprintf("Part of task group <%s|%s>", s.groupURL(), s.Task.TaskGroupID)
	if log := s.logURL(); log != "" {
		context = fmt.Sprintf("<%s|Log> · %s", log, context)
	}
	shown := text
	if s.Failure != "" {
		shown += "\n```" + forSlack(strings.ReplaceAll(line(s.Failure, 400), "```", "'''")) + "```"
	}
	return message.Slack{ChannelID: channel, Text: text, Blocks: []json.RawMessage{slackSection(shown), slackContext(context)}}
}

func slackSection(text string) json.RawMessage {
	return encoded(map[string]any{"type": "section", "text": map[string]string{"type": "mrkdwn", "text": text}})
}

func slackContext(text string) json.RawMessage {
	return encoded(map[string]any{"type": "context", "elements": []any{map[string]string{"type": "mrkdwn", "text": text}}})
}

// encoded is JSON of plain values, which always have one.
func encoded(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

func (s *Story) matrix(room string) message.Matrix {
	what := s.happened()
	if why := s.why(); why != "" {
		what += ": " + why
	}
	m := message.Matrix{RoomID: room, Msgtype: "m.notice", Format: "org.matrix.custom.html"}
	m.Body = fmt.Sprintf("%s %s: %s", s.name(), what, s.taskURL())
	m.FormattedBody = fmt.Sprintf(`<a href="%s"><strong>%s</strong></a> %s`, html.EscapeString(s.taskURL()), html.EscapeString(s.name()), html.EscapeString(what))
	if s.Failure != "" {
		failure := line(s.Failure, 400)
		m.Body += "\n" + failure
		m.FormattedBody += "<pre><code>" + html.EscapeString(failure) + "</code></pre>"
	}
	if log := s.logURL(); log != "" {
		m.FormattedBody += fmt.Sprintf(` (<a href="%s">log</a>)`, html.EscapeString(log))
	}
	return m
}
