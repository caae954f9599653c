package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/admincmd"
)

func newAdminCommand() *cobra.Command {
	r := &remote{}
	return admincmd.New(func(body admincmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error {
			return body(cmd, r.client, args)
		})
	})
}
