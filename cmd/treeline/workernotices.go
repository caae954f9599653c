package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/enroll"
)

// notices is the flags about being told that the machine is to be taken away.
type notices struct{ cloud, address string }

func (n *notices) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&n.cloud, "notices", "", "cloud that tells when it is about to take this machine away: aws, google, azure or none (default that of --register)")
	f.StringVar(&n.address, "metadata-url", "", "where the cloud's metadata service is (default where each cloud has it)")
}

func (n *notices) metadata() enroll.Metadata { return enroll.At(n.address) }

// listen returns a channel that closes when the cloud says so; nil when no cloud is asked.
func (n *notices) listen(ctx context.Context, register string, log *slog.Logger) (<-chan struct{}, error) {
	cloud := n.cloud
	if register = cmp.Or(register, os.Getenv(registerSetting)); cloud == "" && enroll.IsCloud(register) {
		cloud = register
	}
	if cloud == "" || cloud == "none" {
		return nil, nil
	}
	if !enroll.IsCloud(cloud) {
		return nil, fault.New(fault.BadArguments, "--notices: %q is none of aws, google, azure and none", cloud)
	}
	taken := make(chan struct{})
	go func() {
		text, err := n.metadata().Notice(ctx, cloud, log)
		if err != nil {
			return // the worker has ended
		}
		log.WarnContext(ctx, "this machine is about to be taken away: tasks are given back", "notice", text)
		close(taken)
	}()
	return taken, nil
}
