package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/hgcmd"
)

func newHgCommand() *cobra.Command {
	r := &remote{}
	return hgcmd.New(func(body hgcmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, _ []string) error { return body(cmd, r.client) })
	}, exitCodesHelp)
}
