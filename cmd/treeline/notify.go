package main

import (
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/notifycmd"
)

func newNotifyCommand() *cobra.Command {
	r := &remote{}
	return notifycmd.New(func(body notifycmd.Body) func(*cobra.Command, []string) error {
		return r.does(func(cmd *cobra.Command, args []string) error { return body(cmd, r.client, args) })
	}, &r.json, exitCodesHelp)
}
