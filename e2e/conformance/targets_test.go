package conformance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
)

// target is an endpoint to send things to.
type target struct {
	fact
	args []string
	body any // fits the schema; nil when the endpoint takes none
}

// targets are all endpoints of all services that the server publishes.
func targets(t testing.TB) []target {
	t.Helper()
	b := served(t)
	l := newLibrary(t, b)
	var list []target
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !strings.HasSuffix(name, "/api.json") {
			continue
		}
		var reference struct {
			ServiceName string
			Entries     []struct {
				fact
				Args []string
			}
		}
		if err := json.Unmarshal(b[name], &reference); err != nil {
			t.Fatal(err)
		}
		for _, e := range reference.Entries {
			e.Service = reference.ServiceName
			e.Input = strings.TrimSuffix(e.Input, "#")
			x := target{fact: e.fact, args: e.Args}
			if form(e.Input) == "JSON" {
				x.body = l.samples(l.root("/schemas/"+e.Service+"/"+e.Input), 0)[0]
			}
			list = append(list, x)
		}
	}
	if len(list) < 100 {
		t.Fatalf("only %d endpoints", len(list))
	}
	return list
}

// goodArgs are values that pass the patterns of parameters; any other name gets "abc".
var goodArgs = map[string]string{
	"taskId": "fN1SbArXTPSVFNUvaOlinQ", "taskGroupId": "fN1SbArXTPSVFNUvaOlinQ", "runId": "0", "taskQueueId": "abc/abc", "level": "read-only",
}

func (x target) good() map[string]string {
	args := map[string]string{}
	for _, name := range x.args {
		args[name] = "abc"
		if v, ok := goodArgs[name]; ok {
			args[name] = v
		}
		if name == "taskId" && x.Name == "createTask" {
			args[name] = slug.New() // a task of that name would be a conflict
		}
	}
	return args
}

// path is the address of the endpoint with the given arguments, escaped already where raw says so.
func (x target) path(args map[string]string, raw string) string {
	path := x.Route
	for name, value := range args {
		if name != raw {
			value = url.PathEscape(value)
		}
		path = strings.ReplaceAll(path, "<"+name+">", value)
	}
	return "/api/" + x.Service + "/v1" + path
}

// with returns a request to the endpoint with a body that fits.
func (x target) request(path string) request {
	r := request{method: strings.ToUpper(x.Method), path: path}
	switch {
	case x.body != nil:
		r.header, r.body = jsonHeader(), reader(x.lively(x.body))
	case x.Input == "blob":
		r.body = reader("bytes")
	}
	return r
}

// lively is a body as text, with times that lie in the future and ids that are free where the samples
// have theirs: only such bodies come as far as the database.
func (x target) lively(body any) string {
	return encoded(enliven(body, "", x.Name == "createTasks"))
}

func enliven(v any, name string, fresh bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			out[name] = enliven(member, name, fresh)
		}
		return out
	case []any:
		if name == "dependencies" && len(v) == 1 && v[0] == sampleSlug {
			return []any{}
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = enliven(v[i], name, fresh)
		}
		return out
	case string:
		switch {
		case v == sampleTime:
			after := map[string]time.Duration{"created": 0, "deadline": time.Hour}
			wait, known := after[name]
			if !known {
				wait = 30 * 24 * time.Hour
			}
			return time.Now().UTC().Add(wait).Format("2006-01-02T15:04:05.000Z")
		case name == "indexes" && v == "text":
			return "abc.abc"
		case fresh && name == "taskId" && v == sampleSlug:
			return slug.New()
		}
	}
	return v
}

// attempt is a request with a name for it.
type attempt struct {
	name string
	request
}

// sendAll sends requests a few at a time and holds every answer to problem.
func (s *server) sendAll(t *testing.T, attempts []attempt) {
	t.Helper()
	c := browser()
	defer c.CloseIdleConnections()
	// What ends the run, or takes away what other requests name, comes last.
	ends := regexp.MustCompile(`/(cancel|completed|failed|exception|gone)$|^/api/queue/v1/workers?/`)
	last := func(a attempt) int {
		if path, _, _ := strings.Cut(a.path, "?"); a.method == http.MethodDelete || ends.MatchString(path) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(attempts, func(a, b attempt) int { return last(a) - last(b) })
	next := make(chan attempt)
	var group sync.WaitGroup
	var answers [6]atomic.Int64 // by the first digit of the status; 0 for those that wait
	for range 8 {
		group.Go(func() {
			for a := range next {
				got, err := s.send(t, c, a.request)
				answers[got.status/100].Add(1)
				if err != nil {
					t.Errorf("%s: %s %.200s: %v", a.name, a.method, a.path, err)
				} else if bad := got.problem(); bad != "" {
					t.Errorf("%s: %s %.200s: %s", a.name, a.method, a.path, bad)
				}
			}
		})
	}
	for _, a := range attempts {
		next <- a
	}
	close(next)
	group.Wait()
	t.Logf("%d requests: %d done, %d sent elsewhere, %d refused, %d waited", len(attempts), answers[2].Load(), answers[3].Load(), answers[4].Load(), answers[0].Load())
	if got, err := s.send(t, c, request{method: "GET", path: "/__heartbeat__"}); err != nil || got.status != http.StatusOK {
		t.Errorf("afterwards the server is not well: %d %v", got.status, err)
	}
}
