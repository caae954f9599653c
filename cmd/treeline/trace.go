package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/tracecmd"
)

func newTraceCommand() *cobra.Command {
	r := &remote{}
	return tracecmd.New(func(body tracecmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error { return body(cmd, r.client, args) })
	}, exitCodesHelp)
}
