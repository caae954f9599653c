package dbcmd

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// manner is how the online parts of versions are done.
type manner struct {
	progress bool
	busy     int
}

func (w *manner) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.progress, "progress", false, "say now and then how far what is done online is, and how long it takes still")
	cmd.Flags().IntVar(&w.busy, "busy", 50, "percentage of the time to spend on what is done online; the rest is left to others")
	check := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.busy < 1 || w.busy > 100 {
			return fault.New(fault.Invalid, "--busy %d: a percentage from 1 to 100", w.busy)
		}
		return check(cmd, args)
	}
}

func (w *manner) how(cmd *cobra.Command) []pg.How {
	how := []pg.How{pg.Busy(w.busy)}
	if w.progress {
		how = append(how, pg.Tell(tellProgress(cmd.ErrOrStderr(), time.Now)))
	}
	return how
}

// tellProgress writes a line at most once a second, and one at the end.
func tellProgress(out io.Writer, now func() time.Time) func(pg.Version) {
	var told time.Time
	return func(v pg.Version) {
		if v.Online.Finished == nil && now().Sub(told) < time.Second {
			return
		}
		told = now()
		fmt.Fprintf(out, "%04d %s: %s\n", v.Number, v.Name, onlineRemark(*v.Online))
	}
}

// onlineRemark says how far an online part is.
func onlineRemark(o pg.Online) string {
	if o.Finished != nil {
		return fmt.Sprintf("online part done: %d rows", o.Rows)
	}
	text := fmt.Sprintf("online part under way (%s): %d", o.Direction, o.Rows)
	if o.Total > 0 {
		text += fmt.Sprintf(" of about %d rows, %d %%", o.Total, min(100, 100*o.Rows/o.Total))
	}
	if left := o.Left(); left >= 0 && o.Total > 0 {
		text += fmt.Sprintf(", about %v left", max(time.Second, left).Round(time.Second))
	}
	return text
}
