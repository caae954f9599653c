package pools

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// tab is a part of a pool's page.
type tab struct {
	Name, Title, Href string
	N                 string // how many there are, "" where it does not say
}

// poolBody is the page of a pool, or of a task queue without one.
type poolBody struct {
	*subject
	CSRF        string
	Action      string // where its forms go
	Tab         string
	Tabs        []tab
	Provider    string
	Description template.HTML
	Paused      bool
	Leaving     bool
	Left        int // workers that are still there of a pool due for deletion
	Capacity    int
	Most        int
	Bar         template.HTML
	P50, P95    string
	Hourly      string
	ErrorsDay   int
	Chart       chart
	Done        string // what was just done

	Workers *workersTab
	Pending *pendingTab
	Errors  *errorsTab
	Launch  *launchTab
	Config  *configTab
	Cost    *costTab
}

// split takes a part off the end of a path that old addresses have.
func split(path string) (id, part string) {
	list := strings.Split(path, "/")
	if len(list) <= 2 {
		return path, ""
	}
	return list[0] + "/" + list[1], strings.Join(list[2:], "/")
}

// pool shows a pool, or a task queue. Its id may be one escaped part of the path, or two.
func (ps *Pages) pool(v *page.Visit) error {
	id, part := split(v.R.PathValue("pool"))
	switch {
	case id == "errors":
		return moved(v, "/worker-manager")
	case part == "errors", part == "launch-configs", part == "workers":
		return moved(v, Path(id)+"?tab="+part)
	case part != "":
		return page.ErrNoPage
	}
	return ps.show(v, http.StatusOK, id, v.R.FormValue("tab"), nil)
}

// show makes the page; change may fill in what a form brought.
func (ps *Pages) show(v *page.Visit, status int, id, name string, change func(*poolBody)) error {
	stream := ps.Live.Path(v, "pool="+url.QueryEscape(id))
	s, err := ps.find(v, id)
	if err != nil {
		return err
	}
	b := &poolBody{subject: s, CSRF: v.Session.CSRF(), Action: Path(id), Capacity: s.capacity(), Done: done[v.R.URL.Query().Get("done")]}
	b.head()
	ctx := v.R.Context()
	if s.Pool != nil {
		errs, err := ps.Pools.ErrorsSince(ctx, 24)
		if err != nil {
			return err
		}
		b.ErrorsDay = errs[id]
	}
	if b.Chart, err = ps.chart(ctx, id, v.R.FormValue("span")); err != nil {
		return err
	}
	b.tabs(name)
	if change != nil {
		change(b)
	}
	data, err := ps.fill(v, b)
	if err != nil {
		return err
	}
	title := "Worker pool " + id
	if s.Pool == nil {
		title = "Task queue " + id
	}
	return v.Show(status, page.View{Title: title, Name: "pool", Stream: stream, Body: b}, data)
}

// head fills in what stands above the tabs.
func (b *poolBody) head() {
	if w := b.Line.Waits; w.N > 0 {
		b.P50, b.P95 = length(w.P50), length(w.P95)
	}
	b.Bar = bar(b.Line.Running, b.Capacity)
	p := b.Pool
	if p == nil {
		return
	}
	b.Provider, b.Description = p.ProviderID, prose.Markdown(p.Description)
	b.Leaving = p.ProviderID == manager.NullProvider
	b.Left = p.RequestedCount + p.RunningCount + p.StoppingCount
	c := readConfig(p.Config)
	if b.Paused = paused(c) && !b.Leaving; c.Max != nil {
		b.Most = *c.Max
	}
	if b.Costs.Hourly != nil {
		b.Hourly = money(b.Costs.Currency, *b.Costs.Hourly)
	}
}

func (ps *Pages) chart(ctx context.Context, id, name string) (chart, error) {
	span := spans[2]
	c := chart{To: time.Now()}
	for _, s := range spans {
		c.Spans = append(c.Spans, s.name)
		if s.name == name {
			span = s
		}
	}
	points, err := ps.Gauge.History(ctx, []string{id}, span.long, span.step)
	if err != nil {
		return c, err
	}
	list := points[id]
	c.Span, c.Empty = span.name, len(list) < 2
	if c.Empty {
		return c, nil
	}
	c.From = list[0].At
	var top float64
	c.Picture, c.Label, top = draw(list)
	c.Top = grouped(int(top + 0.5))
	return c, nil
}

// tabs are those that a pool, or a task queue without one, has.
func (b *poolBody) tabs(chosen string) {
	add := func(name, title, n string) {
		b.Tabs = append(b.Tabs, tab{name, title, Path(b.ID) + "?tab=" + name, n})
	}
	add("workers", "Workers", "")
	add("pending", "Pending", grouped(b.Line.Pending))
	if b.Pool != nil {
		add("errors", "Errors", "")
		add("launch-configs", "Launch configs", "")
		add("config", "Config", "")
		if b.Prices.Set() {
			add("cost", "Cost", "")
		}
	}
	b.Tab = b.Tabs[0].Name
	for _, t := range b.Tabs {
		if t.Name == chosen {
			b.Tab = chosen
		}
	}
}

// fill reads what the open tab shows; data is for the script.
func (ps *Pages) fill(v *page.Visit, b *poolBody) (data any, err error) {
	switch b.Tab {
	case "pending":
		b.Pending, err = ps.pendingTab(v, b.subject)
	case "errors":
		b.Errors, err = ps.errorsTab(v, b.ID)
	case "launch-configs":
		b.Launch, err = ps.launchTab(v, b.subject)
	case "config":
		if b.Config == nil {
			b.Config, err = ps.configTab(v, b.Pool)
		}
	case "cost":
		b.Cost, err = ps.costTab(v, b.subject)
	default:
		if b.Workers == nil {
			b.Workers, err = ps.workersTab(v, b.subject)
		}
		return map[string]any{"pool": b.ID, "hasPool": b.Pool != nil}, err
	}
	return map[string]any{"pool": b.ID}, err
}

// done are the words for what a form did, by the name under which the next address has it.
var done = map[string]string{
	"saved": "The pool is saved.", "made": "The pool is made. It gets workers as soon as there is work for them.", "archived": "The launch config is archived: no more workers are made of it.",
	"quarantined": "The worker is in quarantine: it gets no more work.", "lifted": "The quarantine is lifted.",
	"terminated": "The worker is told to end.", "deleted": "The pool is due for deletion: it goes when its last worker has gone.",
}

// errorsTab is what went wrong with a pool lately.
type errorsTab struct {
	List    []manager.Error
	Titles  []tallied
	Configs []tallied
	Total   int
	More    string // address of the next page
	Why     string // they may not be seen
}

type tallied struct {
	Name string
	N    int
}

func (ps *Pages) errorsTab(v *page.Visit, id string) (*errorsTab, error) {
	t := &errorsTab{}
	if err := v.Allow(seeErrors(id)); err != nil {
		t.Why = fault.Message(err)
		return t, nil
	}
	ctx := v.R.Context()
	stats, err := ps.Pools.ErrorStats(ctx, id)
	if err != nil {
		return nil, err
	}
	t.Total, t.Titles, t.Configs = stats.Total, tallies(stats.Title), tallies(stats.LaunchConfig)
	f := manager.ErrorFilter{BeforeID: v.R.FormValue("id")}
	if at, err := time.Parse(time.RFC3339Nano, v.R.FormValue("before")); err == nil {
		f.Before = at
	}
	const size = 100
	list, err := ps.Pools.Errors(ctx, id, f, size+1)
	if err != nil {
		return nil, err
	}
	if len(list) > size {
		list = list[:size]
		last := list[size-1]
		t.More = Path(id) + "?" + url.Values{"tab": {"errors"}, "before": {last.Reported.UTC().Format(time.RFC3339Nano)}, "id": {last.ErrorID}}.Encode()
	}
	t.List = list
	return t, nil
}
