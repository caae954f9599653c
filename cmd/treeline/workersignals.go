package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/workers"
)

// runWorker runs a worker and heeds the signals that are for workers alone. When taken closes the machine is about to be
// taken away. After an upgrade it does not return: the process is another program then.
func runWorker(ctx context.Context, c workers.Config, taken <-chan struct{}, closeEngine func() error) error {
	hurry, drain := make(chan struct{}), make(chan struct{})
	c.Hurry, c.Drain = hurry, drain
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, sys.Hurry, sys.Upgrade)
	over := make(chan struct{})
	upgrade := false
	heeded := make(chan struct{})
	go func() {
		defer close(heeded)
		hurried := false
		for {
			select {
			case <-over:
				return
			case <-taken:
				taken = nil // once
				if !hurried {
					hurried = true
					close(hurry)
				}
			case s := <-signals:
				switch {
				case s == sys.Upgrade && !upgrade:
					upgrade = true
					close(drain)
				case s == sys.Hurry && !hurried:
					hurried = true
					close(hurry)
				}
			}
		}
	}()
	err := errors.Join(workers.Run(ctx, c), closeEngine())
	signal.Stop(signals)
	close(over)
	<-heeded
	if err != nil || !upgrade || ctx.Err() != nil {
		return err
	}
	c.Log.Info("the worker becomes its new program", "program", c.Program)
	if err := sys.Become(c.Program, os.Args, os.Environ()); err != nil {
		return fmt.Errorf("become %s: %w", c.Program, err)
	}
	return nil
}
