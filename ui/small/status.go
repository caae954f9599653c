package small

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/ui/page"
)

// SeeStatus is what seeing asks for that is for operators: backups, settings of the database, errors.
var SeeStatus = scope.String("status:read")

// State is how a deployment is, besides that it works. What could not be read stands in Problems.
type State struct {
	Schema   Schema    `json:"schema"`
	Servers  []Server  `json:"servers"` // that run now, the oldest first
	Queues   []Backlog `json:"backlogs"`
	Backups  []Backup  `json:"backups"`
	Jobs     []Job     `json:"retention"`
	Settings []Setting `json:"settings"`
	Problems []string  `json:"problems"` // what somebody should see to, in sentences
}

// Schema says which version of the schema the database has, and which this program knows.
type Schema struct {
	Database int `json:"database"`
	Program  int `json:"program"`
}

// Server is one of those that share the database, and the program that it is.
type Server struct {
	Host    string    `json:"host"` // its machine
	Version string    `json:"version"`
	Commit  string    `json:"commit,omitempty"`
	Schema  int       `json:"schema"` // the newest version of the schema that its program knows
	Started time.Time `json:"started"`
}

// Backlog is what waits to be done.
type Backlog struct {
	Name    string  `json:"name"`
	Waiting int     `json:"waiting"`
	Oldest  float64 `json:"oldestSeconds"` // how long the one waits that waits longest
}

// For is how long the oldest waits.
func (b Backlog) For() string { return rounded(time.Duration(b.Oldest * float64(time.Second))) }

// Backup is the newest of its kind that was reported, good or not.
type Backup struct {
	Kind string    `json:"kind"`
	OK   bool      `json:"ok"`
	At   time.Time `json:"at"`
	Size int64     `json:"size"` // bytes; 0 when it was not told
	Note string    `json:"note,omitempty"`
}

// Job removes old rows.
type Job struct {
	Name     string    `json:"name"`
	Ended    time.Time `json:"ended,omitzero"` // zero: it never ran
	Removed  int64     `json:"removed"`        // rows, by the last run
	Error    string    `json:"error,omitempty"`
	Failures int       `json:"failures"` // in a row
}

// Setting is one of the database that a promise needs.
type Setting struct {
	Name string `json:"name"`
	Is   string `json:"is"`
	Want string `json:"want"`
	OK   bool   `json:"ok"`
	Why  string `json:"why"`
}

// statusView is how the server is.
type statusView struct {
	Healthy   bool              `json:"healthy"`
	Answer    string            `json:"-"` // of the heartbeat
	Code      int               `json:"-"`
	Version   map[string]string `json:"version"`
	Services  []serviceState    `json:"services"`
	Head      int64             `json:"feedPosition,omitempty"`
	Consumers []event.Consumer  `json:"-"`
	Feed      []follower        `json:"feed,omitempty"`
	Parts     []Part            `json:"parts"`
	*State
}

type serviceState struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Up    bool   `json:"up"`
	Code  int    `json:"status"`
}

// follower is a consumer of the feed.
type follower struct {
	Name   string  `json:"name"`
	Lag    int64   `json:"behindEvents"`
	Behind float64 `json:"behindSeconds"`
	Holder string  `json:"holder,omitempty"`
}

// For is how long the follower is behind.
func (f follower) For() string { return rounded(time.Duration(f.Behind * float64(time.Second))) }

// rounded is a duration as people say it.
func rounded(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// status shows whether the server can work, as its heartbeat says, and what follows its feed.
func (ps *Pages) status(v *page.Visit) error {
	s, err := ps.look(v)
	if err != nil {
		return err
	}
	return v.Show(s.code(), page.View{Title: "Status", Name: "status", Main: "narrow", Body: s}, nil)
}

// statusData is the same for programs.
func (ps *Pages) statusData(v *page.Visit) (any, error) {
	s, err := ps.look(v)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	v.W.Header().Set("Content-Type", "application/json; charset=utf-8")
	v.W.Header().Set("Cache-Control", "no-store")
	v.W.WriteHeader(s.code())
	_, _ = v.W.Write(body) // who asked may have gone
	return nil, nil
}

func (s *statusView) code() int {
	if s.Healthy {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// statusPatience is how long a look takes at most, with a database that hangs too.
const statusPatience = 10 * time.Second

// look asks the server how it is, as anybody would, and the rooms.
func (ps *Pages) look(v *page.Visit) (*statusView, error) {
	ctx, cancel := context.WithTimeout(v.R.Context(), statusPatience)
	defer cancel()
	site := ps.Site()
	beat, err := ask(ctx, site, http.MethodGet, v.Kit.RootURL+"/__heartbeat__", nil)
	if err != nil {
		return nil, err
	}
	s := &statusView{Healthy: beat.status == http.StatusOK, Code: beat.status, Answer: strings.TrimSpace(beat.body.String())}
	if version, err := ask(ctx, site, http.MethodGet, v.Kit.RootURL+"/__version__", nil); err == nil && json.Unmarshal(version.body.Bytes(), &s.Version) != nil {
		s.Version = nil
	}
	list, err := ps.references(ctx, v.Kit.RootURL)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if !r.API() {
			continue
		}
		up, err := ask(ctx, site, http.MethodGet, v.Kit.RootURL+"/api/"+r.ServiceName+"/"+r.Version+"/__heartbeat__", nil)
		if err != nil {
			return nil, err
		}
		s.Services = append(s.Services, serviceState{r.ServiceName, r.Title, up.status == http.StatusOK, up.status})
	}
	ps.lookAtFeed(ctx, v, s)
	if ps.State != nil && s.Healthy && v.Allow(SeeStatus) == nil {
		s.State = ps.State(ctx)
	}
	if ps.Parts != nil {
		s.Parts = ps.Parts(ctx)
	}
	return s, nil
}

func (ps *Pages) lookAtFeed(ctx context.Context, v *page.Visit, s *statusView) {
	if ps.Feed == nil || v.Allow(page.SeePushes) != nil {
		return
	}
	head, err := ps.Feed.Head(ctx)
	if err == nil {
		s.Head = head
		s.Consumers, err = ps.Feed.Consumers(ctx)
	}
	if err != nil {
		s.Healthy, s.Answer = false, "The feed of events cannot be read."
	}
	for _, c := range s.Consumers {
		s.Feed = append(s.Feed, follower{c.Name, c.Lag, max(0, c.Behind.Seconds()), c.Holder})
	}
}
