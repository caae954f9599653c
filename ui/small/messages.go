package small

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// binding is a wish of the page: messages of an exchange whose routing key fits a pattern of AMQP's topics.
type binding struct {
	Exchange string `json:"exchange"`
	Pattern  string `json:"routingKeyPattern"`
}

const maxBindings = 50

// bindings reads the wishes from the address, as the field writes them: a JSON array.
func bindings(text string) ([]binding, error) {
	var list []binding
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	if json.Unmarshal([]byte(text), &list) != nil {
		return nil, fault.New(fault.BadArguments, `bindings must be a JSON array such as [{"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": "#"}].`)
	}
	if len(list) > maxBindings {
		return nil, fault.New(fault.BadArguments, "There may be %d bindings.", maxBindings)
	}
	return list, nil
}

// fits tells whether a routing key fits a pattern: "*" stands for one word, "#" for any number of them.
func fits(pattern, key string) bool {
	return fitsWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

func fitsWords(pattern, key []string) bool {
	// Each row says from which words of the key on the rest of the pattern fits.
	row := make([]bool, len(key)+1)
	row[len(key)] = true
	for i := len(pattern) - 1; i >= 0; i-- {
		next := make([]bool, len(key)+1)
		for j := len(key); j >= 0; j-- {
			switch pattern[i] {
			case "#":
				next[j] = row[j] || j < len(key) && next[j+1]
			case "*":
				next[j] = j < len(key) && row[j+1]
			default:
				next[j] = j < len(key) && key[j] == pattern[i] && row[j+1]
			}
		}
		row = next
	}
	return row[0]
}

// shown is a message for the page.
type shown struct {
	Exchange string          `json:"exchange"`
	Key      string          `json:"routingKey"`
	CC       []string        `json:"cc"`
	Time     time.Time       `json:"time"`
	Position int64           `json:"position"`
	Payload  json.RawMessage `json:"payload"`
}

// Pretty is the payload for people.
func (s shown) Pretty() string { return indented(s.Payload) }

func (ps *Pages) messageOf(e *event.Event, want []binding) (shown, bool) {
	m, ok, err := ps.Messages.Of(e)
	if err != nil || !ok || len(m.Keys) == 0 || !wanted(m, want) {
		return shown{}, false
	}
	return shown{m.Exchange, m.Keys[0], append([]string{}, m.Keys[1:]...), e.Time, e.Position, m.Body}, true
}

func wanted(m pulse.Message, want []binding) bool {
	if len(want) == 0 {
		return true
	}
	return slices.ContainsFunc(want, func(b binding) bool {
		return b.Exchange == m.Exchange && slices.ContainsFunc(m.Keys, func(key string) bool { return fits(b.Pattern, key) })
	})
}

const (
	mostMessages = 500   // kept by the page
	lookBack     = 20000 // events that the page without script looks at
)

type messagesView struct {
	Bindings string
	List     []binding
	Messages []shown
	Problem  string
}

// messages shows what listeners got lately; its script follows what they get.
func (ps *Pages) messages(v *page.Visit) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	f := v.R.URL.Query()
	b := messagesView{Bindings: f.Get("bindings")}
	list, err := bindings(b.Bindings)
	if err != nil {
		b.Problem = fault.Message(err)
	}
	b.List = list
	if exchange := strings.TrimSpace(f.Get("exchange")); exchange != "" && err == nil {
		pattern := strings.TrimSpace(f.Get("pattern"))
		if pattern == "" {
			pattern = "#"
		}
		text, err := json.Marshal(append(list, binding{exchange, pattern}))
		if err != nil {
			return err
		}
		return v.Redirect("/pulse-messages?" + url.Values{"bindings": {string(text)}}.Encode())
	}
	head, err := ps.Feed.Head(v.R.Context())
	if err == nil && b.Problem == "" {
		b.Messages, err = ps.lately(v.R.Context(), head, list)
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if b.Problem != "" {
		status = http.StatusBadRequest
	}
	return v.Show(status, page.View{Title: "Pulse messages", Name: "pulse", Body: b}, map[string]any{
		"stream": "/ui/api/pulse?" + url.Values{"bindings": {b.Bindings}}.Encode(), "after": head, "most": mostMessages,
	})
}

func (ps *Pages) lately(ctx context.Context, head int64, want []binding) ([]shown, error) {
	const shownAtOnce, batch = 50, 500
	var list []shown
	for end := head; end > 0 && end > head-lookBack && len(list) < shownAtOnce; end -= batch {
		events, err := ps.Feed.Read(ctx, max(0, end-batch), batch)
		if err != nil {
			return nil, err
		}
		for i := len(events) - 1; i >= 0 && len(list) < shownAtOnce; i-- {
			if m, ok := ps.messageOf(&events[i], want); ok && events[i].Position <= end {
				list = append(list, m)
			}
		}
	}
	return list, nil
}

// follow sends messages as they come, those of some milliseconds together.
func (ps *Pages) follow(v *page.Visit) (any, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	want, err := bindings(v.R.URL.Query().Get("bindings"))
	if err != nil {
		return nil, err
	}
	after, err := ps.Feed.Resume(v.R.Context(), v.R.Header.Get("Last-Event-ID"))
	if err != nil {
		return nil, err
	}
	filter := event.Filter{Kinds: ps.Messages.Kinds(), After: &after}
	h := v.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	ctx, cancel := drain.Context(v.R.Context())
	defer cancel()
	messages := make(chan shown, 256)
	go func() {
		defer close(messages)
		for e, err := range ps.Feed.Subscribe(ctx, filter) {
			if err != nil {
				return
			}
			if m, ok := ps.messageOf(&e, want); ok {
				select {
				case messages <- m:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return nil, send(v.W, after, messages)
}

// send writes messages, and something now and then while there are none; it ends with the stream or the reader. Whoever comes
// back goes on where it was, behind after at first.
func send(w http.ResponseWriter, after int64, messages <-chan shown) error {
	flush := http.NewResponseController(w).Flush
	if _, err := fmt.Fprintf(w, "retry: 1000\nid: %d\n\n", after); err != nil || flush() != nil {
		return nil // the browser has gone
	}
	beat, gather := time.NewTicker(15*time.Second), time.NewTicker(50*time.Millisecond)
	defer beat.Stop()
	defer gather.Stop()
	var batch []shown
	for {
		var text string
		select {
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			if batch = append(batch, m); len(batch) < mostMessages {
				continue
			}
		case <-gather.C:
		case <-beat.C:
			text = ":\n\n"
		}
		if len(batch) > 0 {
			body, err := json.Marshal(batch)
			if err != nil {
				return nil
			}
			text = fmt.Sprintf("id: %d\ndata: %s\n\n", batch[len(batch)-1].Position, body)
			batch = batch[:0]
		}
		if text == "" {
			continue
		}
		if _, err := w.Write([]byte(text)); err != nil || flush() != nil {
			return nil
		}
	}
}
