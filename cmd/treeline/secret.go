package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/secretcmd"
)

func newSecretCommand() *cobra.Command {
	r := &remote{}
	return secretcmd.New(func(body secretcmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error { return body(cmd, r.client, args) })
	}, exitCodesHelp)
}
