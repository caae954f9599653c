// Package graphapi is the HTTP door of what decisions record: why a task is there, why another is not,
// and with which change it would be otherwise. It answers from the artifact explain.json of the
// decision and adds nothing of its own.
package graphapi

import (
	"context"
	"embed"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/taskgraph/explain"
)

//go:embed schemas/*.json
var schemas embed.FS

// Deps is what the door needs of other rooms.
type Deps struct {
	// Decision is the task group of a task, which is the id of the decision task that made it.
	Decision func(ctx context.Context, taskID string) (string, error)
	// Artifact finds an artifact of a task's latest run: the sha256 of its content, its size in bytes,
	// and how to read it.
	Artifact func(ctx context.Context, taskID, name string) (Artifact, error)
}

// Artifact is an artifact that can be read.
type Artifact struct {
	SHA256 string
	Size   int64
	Open   func(ctx context.Context) (io.ReadCloser, error)
}

// Limits of the door.
const (
	maxRecord = 64 << 20 // bytes of a record; the artifact itself can be read whatever its size
	maxKept   = 4        // records that are kept for the next question
)

// Service is the table of endpoints of the service taskgraph.
func Service(d Deps) web.Service {
	k := &keeper{Deps: d}
	return web.Service{
		Name: "taskgraph", Version: "v1", Title: "Task graph",
		Description: "What decisions recorded about the graphs that they made.",
		Schemas:     schemas,
		Params:      map[string]string{"taskId": `^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`},
		Endpoints: []web.Endpoint{{
			Name: "explainTask", Method: http.MethodGet, Route: "/task/<taskId>/why",
			Title: "Why a task is there or not", Category: "Decisions", Stability: "experimental",
			Description: "Says of a label where its task comes from, what each transform changed, why it was selected, removed or replaced, and with " +
				"which change it would be otherwise; of a label that no task has, why not. The task is a decision, or one that a decision made; of " +
				"that one the label may be left out. The answer is from the artifact `public/explain.json` of the decision.",
			Query:  map[string]string{"label": `^[^\x00-\x1f]{1,255}$`},
			Scopes: scope.Text("queue:get-artifact:public/" + explain.RecordName),
			Output: "explain-task-response.json",
			Handle: k.explain,
		}},
	}
}

// Stories returns what tells of a label of a decision's graph to others than callers of the API.
func Stories(d Deps) func(ctx context.Context, decision, label string) (explain.Story, error) {
	records := Records(d)
	return func(ctx context.Context, decision, label string) (explain.Story, error) {
		rec, err := records(ctx, decision)
		if err != nil {
			return explain.Story{}, err
		}
		return rec.Story(label), nil
	}
}

// Records returns what reads the record of a decision. Those of the latest questions are kept: who asks must
// not change them.
func Records(d Deps) func(ctx context.Context, decision string) (*explain.Record, error) {
	k := &keeper{Deps: d}
	return k.record
}

// keeper keeps the records of the latest questions, as one is seldom alone.
type keeper struct {
	Deps
	mu   sync.Mutex
	kept []record // the latest first
}

type record struct {
	sha256 string
	*explain.Record
}

func (k *keeper) explain(ctx context.Context, r *web.Request) (any, error) {
	id, label := r.Params["taskId"], r.Query("label")
	decision, err := k.Decision(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := k.record(ctx, decision)
	if err != nil {
		return nil, err
	}
	if label == "" {
		if label = rec.Label(id); label == "" {
			return nil, fault.New(fault.Invalid, "Task %s is none that its decision %s made a graph of: name a label.", id, decision)
		}
	}
	return rec.Story(label), nil
}

// record reads the record of a decision. Readers share it and change nothing.
func (k *keeper) record(ctx context.Context, decision string) (*explain.Record, error) {
	a, err := k.Artifact(ctx, decision, "public/"+explain.RecordName)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fault.Wrap(fault.NotFound, err, "Task %s recorded no graph: it is no decision, or one that has not come so far.", decision)
	}
	if err != nil {
		return nil, err
	}
	if rec := k.find(a.SHA256); rec != nil {
		return rec, nil
	}
	if a.Size > maxRecord {
		return nil, fault.New(fault.TooLarge, "The record of decision %s has %d bytes; more than %d are not read here. Read the artifact public/%s.", decision, a.Size, maxRecord, explain.RecordName)
	}
	body, err := a.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, maxRecord+1))
	if err != nil {
		return nil, err
	}
	rec := &explain.Record{}
	if err := json.Unmarshal(content, rec); err != nil { // whoever made the decision wrote it
		return nil, fault.Wrap(fault.Invalid, err, "The record of decision %s cannot be read: %v", decision, err)
	}
	k.keep(record{a.SHA256, rec})
	return rec, nil
}

func (k *keeper) find(sha256 string) *explain.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, r := range k.kept {
		if sha256 != "" && r.sha256 == sha256 {
			copy(k.kept[1:i+1], k.kept[:i])
			k.kept[0] = r
			return r.Record
		}
	}
	return nil
}

func (k *keeper) keep(r record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append([]record{r}, k.kept[:min(len(k.kept), maxKept-1)]...)
}
