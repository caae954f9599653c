package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

const maxTaskFile = 10 << 20

func newTaskCreate(r *remote) *cobra.Command {
	var file, id, queue, name string
	var deadline, maxRun time.Duration
	cmd := &cobra.Command{
		Use:   "create {--file FILE | --queue QUEUE -- COMMAND ARGUMENT...}",
		Short: "Make a task, of a file or of a command",
		Long: `Makes a task of a definition in YAML or JSON, or of a command for a queue of process workers.
What a definition lacks of created, deadline and metadata is filled in. The new task's id is
printed.`,
		Example: `  treeline task create --file task.yml
  treeline task create --queue local/work -- sh -c 'echo hello; sleep 5'
  id=$(treeline task create --queue local/work -- make test) && treeline task log "$id"`,
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			definition, err := readDefinition(cmd.InOrStdin(), file, queue, args, maxRun)
			if err != nil {
				return err
			}
			completeDefinition(definition, name, args, time.Now(), deadline)
			if id == "" {
				id = slug.Nice()
			}
			s, err := r.client.CreateTask(cmd.Context(), id, definition)
			if err != nil {
				return err
			}
			if r.json {
				return r.printStatus(s)
			}
			r.printf("%s\n", id)
			r.noteUnserved(cmd.Context(), id)
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "definition in YAML or JSON; - is standard input")
	f.StringVar(&id, "id", "", "task id (default a new one)")
	f.StringVar(&queue, "queue", "", "task queue for a command, provisionerId/workerType")
	f.StringVar(&name, "name", "", "name of the task (default the command)")
	f.DurationVar(&deadline, "deadline", 24*time.Hour, "how long the task has, unless the file says")
	f.DurationVar(&maxRun, "max-run-time", time.Hour, "how long the command may run")
	return cmd
}

// noteUnserved says so when nobody asks for the kind of work that a new task is. It is a service: what goes wrong with it
// is nothing that the task's author must know.
func (r *remote) noteUnserved(ctx context.Context, id string) {
	w, err := r.client.Why(ctx, id)
	if err == nil && w.Line != nil && len(w.Line.Workers) == 0 {
		r.note("%s (%q says how it stands)", w.Sentence, "treeline task why "+id)
	}
}

func readDefinition(stdin io.Reader, file, queue string, args []string, maxRun time.Duration) (map[string]any, error) {
	switch {
	case file != "" && (queue != "" || len(args) > 0):
		return nil, errors.New("give either --file or --queue with a command, not both")
	case file == "" && (queue == "" || len(args) == 0):
		return nil, errors.New("give --file FILE, or --queue QUEUE and a command behind --")
	case file == "":
		return map[string]any{
			"taskQueueId": queue,
			"payload":     map[string]any{"command": [][]string{args}, "maxRunTime": int(maxRun.Seconds())},
		}, nil
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxTaskFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(data) > maxTaskFile {
		return nil, fmt.Errorf("%s: is larger than %s", file, size(maxTaskFile))
	}
	var definition map[string]any
	if err := yaml.Unmarshal(data, &definition); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if definition == nil {
		return nil, fmt.Errorf("%s: is empty: a definition has at least taskQueueId and payload", file)
	}
	return definition, nil
}

// completeDefinition fills in what people leave out. Times of a file stay as they are written.
func completeDefinition(d map[string]any, name string, args []string, now time.Time, deadline time.Duration) {
	fill := func(m map[string]any, key string, value any) {
		if _, ok := m[key]; !ok {
			m[key] = value
		}
	}
	for key, value := range d { // YAML reads times as times
		if t, ok := value.(time.Time); ok {
			d[key] = task.At(t)
		}
	}
	fill(d, "created", task.At(now))
	fill(d, "deadline", task.At(now.Add(deadline)))
	fill(d, "metadata", map[string]any{})
	metadata, ok := d["metadata"].(map[string]any)
	if !ok {
		return // the server says what is wrong with it
	}
	if name == "" {
		name = strings.Join(args, " ")
	}
	owner := "unknown@localhost"
	if u, err := user.Current(); err == nil {
		owner = u.Username + "@localhost"
	}
	fill(metadata, "name", strings.ToValidUTF8(name[:min(len(name), 255)], ""))
	fill(metadata, "description", "Made with treeline task create.")
	fill(metadata, "owner", owner)
	fill(metadata, "source", "https://localhost/treeline-task-create")
}
