package uitest

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/treeline-ci/treeline/app/graphapi"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// records reads what decisions wrote down, as the server does.
func (s *Site) records() func(context.Context, string) (*explain.Record, error) {
	return graphapi.Records(graphapi.Deps{Artifact: func(ctx context.Context, id, name string) (graphapi.Artifact, error) {
		a, _, err := s.Queue.FollowLinks(ctx, id, queue.LatestRun, name)
		if err != nil {
			return graphapi.Artifact{}, err
		}
		o, err := s.objects.Get(ctx, a.ObjectName())
		return graphapi.Artifact{SHA256: o.SHA256, Size: o.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
			_, body, err := s.objects.Open(ctx, a.ObjectName())
			return body, err
		}}, err
	}})
}

// Explain runs the decision task of a group and has it publish why its tasks are there.
func (s *Site) Explain(t testing.TB, group string, rec *explain.Record) {
	t.Helper()
	content, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	s.Run(t, group)
	s.Artifact(t, group, "public/"+explain.RecordName, "application/json", string(content))
}
