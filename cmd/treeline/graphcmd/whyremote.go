package graphcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// remote answers from the record of a decision on a server.
func (c *whyCommand) remote(ctx context.Context, patterns []string) error {
	server, err := client.FromEnv(nil)
	if err != nil {
		return err
	}
	def, err := server.Task(ctx, c.taskID)
	if err != nil {
		return fmt.Errorf("task %s: %w", c.taskID, err)
	}
	content, err := artifact(ctx, server, def.TaskGroupID, "public/"+explain.RecordName)
	if err != nil {
		return err
	}
	var r explain.Record
	if err := json.Unmarshal(content, &r); err != nil {
		return err
	}
	if label := r.Label(c.taskID); len(patterns) == 0 && label != "" {
		patterns = []string{label}
	} else if len(patterns) == 0 && !c.all {
		return fmt.Errorf("task %s is no task that its decision made a graph of: name a LABEL", c.taskID)
	}
	return c.recorded(&r, patterns)
}

// artifact is the content of a decision's artifact, of its latest run.
func artifact(ctx context.Context, server *client.Client, decision, name string) ([]byte, error) {
	var content bytes.Buffer
	_, err := server.DownloadArtifact(ctx, client.Download{TaskID: decision, RunID: client.LatestRun, Name: name}, &content)
	if errors.Is(err, fault.NotFound) {
		return nil, fmt.Errorf("task %s has no artifact %s: is it a decision that succeeded? %w", decision, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("task %s: artifact %s: %w", decision, name, err)
	}
	return content.Bytes(), nil
}

// recorded tells what a record says of labels that patterns match.
func (c *whyCommand) recorded(r *explain.Record, patterns []string) error {
	all := r.Labels()
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	out := explained{Tasks: map[string]explain.Story{}, Drops: r.Drops, Prints: r.Prints}
	for _, pattern := range patterns {
		found := false
		for _, label := range all {
			ok, err := filepath.Match(pattern, label)
			if err != nil {
				return fmt.Errorf("%q: %w", pattern, err)
			}
			if !ok && pattern != label && pattern != "*" {
				continue
			}
			found = true
			if err := c.tellRecorded(&out, r.Story(label)); err != nil {
				return err
			}
		}
		if found {
			continue
		}
		if err := c.tellRecorded(&out, r.Story(pattern)); err != nil {
			return err
		}
		if !c.negative && !c.all {
			return noTask(pattern, all)
		}
	}
	if c.all && c.json {
		return printJSON(c.out, out)
	}
	return nil
}

// tellRecorded prints a story, or keeps it where all are printed together.
func (c *whyCommand) tellRecorded(out *explained, s explain.Story) error {
	if c.all && c.json {
		out.Tasks[s.Label] = s
		return nil
	}
	return c.print(s)
}
