package web

import (
	"context"
	"net/http"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// alive is the answer to ping.
func (s *site) alive() any {
	return struct {
		Alive  bool    `json:"alive"`
		Uptime float64 `json:"uptime"` // seconds
	}{true, time.Since(s.started).Seconds()}
}

const monitoringCategory = "Monitoring"

// monitoring are the endpoints every service has (taskcluster-map 3.7).
func (s *site) monitoring() []Endpoint {
	answer := func(v func() any) func(context.Context, *Request) (any, error) {
		return func(context.Context, *Request) (any, error) { return v(), nil }
	}
	takes := func(context.Context, *Request) (any, error) { return struct{}{}, s.taking() }
	healthy := func(ctx context.Context, _ *Request) (any, error) { return struct{}{}, s.healthy(ctx) }
	endpoints := []Endpoint{
		{Name: "ping", Route: "/ping", Title: "Ping", Handle: answer(s.alive),
			Description: "Answers at once and does nothing else: the service is up."},
		{Name: "lbheartbeat", Route: "/__lbheartbeat__", Title: "Heartbeat for load balancers", Handle: takes,
			Description: "Answers at once: this process takes requests."},
		{Name: "version", Route: "/__version__", Title: "Version", Handle: answer(func() any { return s.Build }),
			Description: "Says which build answers."},
		{Name: "heartbeat", Route: "/__heartbeat__", Title: "Heartbeat", Handle: healthy,
			Description: "Answers when the service can work, which includes that its database answers."},
	}
	for i := range endpoints {
		endpoints[i].Method, endpoints[i].Category, endpoints[i].Stability = http.MethodGet, monitoringCategory, "stable"
	}
	return endpoints
}

// healthy reports whether the deployment can work; the answer is 503 when it cannot.
func (s *site) healthy(ctx context.Context) error {
	if err := s.taking(); err != nil {
		return err
	}
	if s.Healthy == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, s.Healthy(ctx), "The service cannot work at the moment.")
}

// taking reports whether requests should come here still.
func (s *site) taking() error {
	if s.Stopping != nil && s.Stopping() {
		return fault.New(fault.Unavailable, "This server is about to stop.")
	}
	return nil
}

func (s *site) lbheartbeat(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	if err := s.taking(); err != nil {
		s.plainStatus(w, r, http.StatusServiceUnavailable, problem{fault.Message(err)})
		return
	}
	s.plainStatus(w, r, http.StatusOK, struct{}{})
}

func (s *site) heartbeat(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	if err := s.healthy(r.Context()); err != nil {
		s.Log.WarnContext(r.Context(), "unhealthy", "err", err)
		s.plainStatus(w, r, http.StatusServiceUnavailable, problem{fault.Message(err)})
		return
	}
	s.plainStatus(w, r, http.StatusOK, struct{}{})
}
