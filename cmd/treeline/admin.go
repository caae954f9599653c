package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/admincmd"
)

func newAdminCommand() *cobra.Command {
	r := &remote{}
	return admincmd.New(func(body admincmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error {
			err := body(cmd, r.client, args)
			if errors.Is(err, admincmd.ErrTold) {
				return exitCode(1)
			}
			return err
		})
	})
}
