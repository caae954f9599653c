package trycmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
)

// made is a push that was made.
type made struct {
	Time     time.Time `json:"time"`
	Dir      string    `json:"dir"` // of the working copy
	Selector string    `json:"selector"`
	Message  string    `json:"message"`
	File     string    `json:"file,omitempty"` // try_task_config.json
	Tasks    int       `json:"tasks"`          // picked; -1: not known
	Revision string    `json:"revision"`
	Branch   string    `json:"branch,omitempty"`
}

// keptPushes is how many pushes of one working copy are remembered.
const keptPushes = 10

func (a *attempt) historyFile() string { return filepath.Join(a.user, "try_history.json") }

// history gives what was pushed from this working copy, the latest first, and all.
func (a *attempt) history() (own, all []made, err error) {
	content, err := os.ReadFile(a.historyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &all)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("history of try pushes: %w; delete %s, or repair it", err, a.historyFile())
	}
	for _, m := range all {
		if m.Dir == a.work.Dir {
			own = append(own, m)
		}
	}
	return own, all, nil
}

// remember adds a push to the history.
func (a *attempt) remember(m made) error {
	_, all, err := a.history()
	if err != nil {
		return err
	}
	kept, own := []made{m}, 1
	for _, old := range all {
		if old.Dir == m.Dir {
			own++
		}
		if old.Dir != m.Dir || own <= keptPushes {
			kept = append(kept, old)
		}
	}
	return a.writeHistory(kept)
}

func (a *attempt) writeHistory(list []made) error {
	content, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		err = os.MkdirAll(a.user, 0o700)
	}
	fresh := a.historyFile() + ".new"
	if err == nil {
		err = os.WriteFile(fresh, append(content, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(fresh, a.historyFile())
	}
	if err != nil {
		return fmt.Errorf("history of try pushes: %w", err)
	}
	return nil
}

// againCommand is one use of treeline try again.
type againCommand struct {
	*attempt
	index             int
	list, tasks, drop bool
}

func newAgain() *cobra.Command {
	c := &againCommand{attempt: newAttempt("again")}
	cmd := &cobra.Command{
		Use:   "again",
		Short: "Push what was pushed before once more",
		Long: `Makes a new commit on what is checked out now, with what the last push from this working copy asked for.
The last ten are known.`,
		Example: `  treeline try again
  treeline try again --list
  treeline try again --index 2 --dry-run`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = c.does(func(ctx context.Context, _ []string) error { return c.run(ctx) })
	c.pushFlags(cmd, "index")
	f := cmd.Flags()
	f.IntVar(&c.index, "index", 0, "which one: 0 is the last, 1 the one before")
	f.BoolVar(&c.list, "list", false, "only list them")
	f.BoolVar(&c.tasks, "list-tasks", false, "only list the tasks of one")
	f.BoolVar(&c.drop, "purge", false, "only forget those of this working copy")
	return cmd
}

func (c *againCommand) run(ctx context.Context) error {
	own, all, err := c.history()
	if err != nil {
		return err
	}
	switch {
	case c.drop:
		return c.writeHistory(slices.DeleteFunc(all, func(m made) bool { return m.Dir == c.work.Dir }))
	case c.list:
		return c.printHistory(own)
	case len(own) == 0:
		return errors.New("nothing was pushed from this working copy yet")
	case c.index < 0 || c.index >= len(own):
		return fmt.Errorf("--index %d: the last %d are known, from 0 to %d; --list shows them", c.index, len(own), len(own)-1)
	}
	m := own[c.index]
	if c.tasks {
		config, err := tryconfig.Parse([]byte(m.File), tryconfig.Name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(c.Out(), strings.Join(append(config.Tasks, ""), "\n"))
		return err
	}
	c.selector = m.Selector
	w := wanted{tasks: m.Tasks, message: m.Message}
	if m.File != "" {
		w.file = []byte(m.File)
	}
	if c.message != "{msg}" || c.closedTree {
		usual, _, _ := strings.Cut(m.Message, "\n")
		if w, err = c.withMessage(w, usual); err != nil {
			return err
		}
	}
	return c.finish(ctx, w)
}

func (c *againCommand) printHistory(own []made) error {
	if c.json {
		enc := json.NewEncoder(c.Out())
		enc.SetIndent("", "  ")
		return enc.Encode(append([]made{}, own...))
	}
	if len(own) == 0 {
		c.say("Nothing was pushed from this working copy yet.")
	}
	for i, m := range own {
		first, _, _ := strings.Cut(m.Message, "\n")
		tasks := ""
		if m.Tasks >= 0 {
			tasks = ", " + plural(m.Tasks, "task")
		}
		if _, err := fmt.Fprintf(c.Out(), "%d  %s  %s%s  %s\n", i, m.Time.Local().Format("2 Jan 15:04"), m.Selector, tasks, first); err != nil {
			return err
		}
	}
	return nil
}
