package holder_test

import (
	"errors"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/task"
)

func TestWhoseRunItIs(t *testing.T) {
	const id = "fN1SbArXTPSVFNUvaOlinQ"
	began := task.At(time.Date(2026, 5, 1, 12, 0, 0, 123e6, time.UTC))
	run := &task.Run{RunID: 1, State: task.Running, WorkerGroup: "g", WorkerID: "w", Started: &began}
	name := holder.ClientID(id, 1, "g", "w") + "1777637000"
	for _, tt := range []struct {
		why   string
		h     holder.Holder
		run   *task.Run
		holds bool
	}{
		{"the worker, with what its claim brought", holder.Holder{ClientID: name, Since: began.Time}, run, true},
		{"the worker, with what a renewal brought", holder.Holder{ClientID: name, Since: began.Add(time.Minute)}, run, true},
		{"the same worker, with a claim from before", holder.Holder{ClientID: name, Since: began.Add(-time.Millisecond)}, run, false},
		{"another worker that claimed before", holder.Holder{ClientID: holder.ClientID(id, 1, "g", "v") + "1", Since: began.Add(-time.Hour)}, run, false},
		{"another worker, whose clock was ahead", holder.Holder{ClientID: holder.ClientID(id, 1, "g", "v") + "1", Since: began.Add(time.Hour)}, run, false},
		{"a worker whose name begins alike", holder.Holder{ClientID: holder.ClientID(id, 1, "g", "w2") + "1", Since: began.Time}, run, false},
		{"an operator", holder.Holder{ClientID: "static/taskcluster/root"}, run, true},
		{"the program itself", holder.Holder{}, run, true},
		{"a run that nobody claimed is judged by its state", holder.Holder{ClientID: name}, &task.Run{RunID: 1, State: task.Pending}, true},
		{"a run that is not there is judged by that", holder.Holder{ClientID: name}, nil, true},
	} {
		t.Run(tt.why, func(t *testing.T) {
			err := tt.h.Check(id, tt.run)
			if (err == nil) != tt.holds || err != nil && !errors.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
}
