package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/croncmd"
)

func newCronCommand() *cobra.Command {
	r := &remote{}
	return croncmd.New(func(body croncmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error { return body(cmd, r.client, args) })
	}, exitCodesHelp)
}
