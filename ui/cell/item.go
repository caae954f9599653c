package cell

import (
	"encoding/json"
	"strings"

	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/task"
)

// PlatformOf is the row of the grid in which a task stands, by its definition.
func PlatformOf(d *task.Definition) string {
	var extra struct {
		Treeherder treeherder `json:"treeherder"`
	}
	// Extra is the user's; where it has another shape the task's queue decides.
	_ = json.Unmarshal(d.Extra, &extra)
	if p := extra.Treeherder.platform(); p != "" {
		return p
	}
	_, worker, _ := strings.Cut(d.TaskQueueID, "/")
	return worker
}

// Planned is a task that a graph could have and that does not exist, as a cell without an id: it stands in the grid where
// the task would.
func Planned(label, kind, taskQueueID string, treeherder json.RawMessage) Cell {
	c := ofQueue(&cells.Cell{TaskID: label, Name: label, Kind: kind, TaskQueueID: taskQueueID, Treeherder: treeherder, State: task.Unscheduled})
	c.ID = ""
	return c
}
