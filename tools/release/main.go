// Command release makes what a release of Treeline consists of: programs for six platforms in archives, the bill of
// materials, the notices of everything linked, the chart, checksums, and the container image. Whatever it writes
// depends on the commit alone, so that anybody can make the same bytes again (docs/operations/release.md).
//
//	go run ./tools/release build    # what make release runs
//	go run ./tools/release check    # twice, in two places: the same bytes
//	go run ./tools/release image    # the container image, by podman, without a registry
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/tools/licences"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

// platforms are those of a release.
var platforms = []licences.Platform{
	{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"},
	{OS: "darwin", Arch: "amd64"}, {OS: "darwin", Arch: "arm64"},
	{OS: "windows", Arch: "amd64"}, {OS: "windows", Arch: "arm64"},
}

func newCommand() *cobra.Command {
	root := &cobra.Command{Use: "release", Short: "Make a release of Treeline", SilenceUsage: true, SilenceErrors: true}
	var out, checkout string
	var names []string
	shared := func(c *cobra.Command) *cobra.Command {
		c.Args = cobra.NoArgs
		c.Flags().StringVar(&checkout, "root", ".", "checkout of Treeline, with its pages built (make ui)")
		c.Flags().StringVar(&out, "out", "dist", "directory for the files; emptied first")
		c.Flags().StringSliceVar(&names, "platforms", nil, "platforms such as linux/amd64 (default all six)")
		return c
	}
	root.AddCommand(shared(&cobra.Command{
		Use: "build", Short: "Build programs, archives, bill of materials, notices and checksums",
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, err := choose(names, platforms)
			if err != nil {
				return err
			}
			r, err := describe(cmd.Context(), checkout, out, chosen)
			if err != nil {
				return err
			}
			return r.make(cmd.Context())
		},
	}))
	var cold bool
	check := shared(&cobra.Command{
		Use: "check", Short: "Build the commit twice, in two directories, and compare every byte",
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, err := choose(names, platforms)
			if err != nil {
				return err
			}
			return check(cmd.Context(), checkout, chosen, cold)
		},
	})
	check.Flags().BoolVar(&cold, "cold", false, "the second time with an empty build cache, so that everything is compiled again")
	root.AddCommand(check)
	var i imageOptions
	image := shared(&cobra.Command{
		Use: "image", Short: "Build the container image from scratch with podman, from what build made",
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, err := choose(names, platforms[:2])
			if err != nil {
				return err
			}
			r, err := describe(cmd.Context(), checkout, out, chosen)
			if err != nil {
				return err
			}
			return r.image(cmd.Context(), i)
		},
	})
	image.Flags().StringVar(&i.name, "name", "localhost/treeline", "name of the image; its tag is the version")
	image.Flags().StringArrayVar(&i.podman, "podman-arg", nil, "option of podman that goes before its command, such as --root=/srv/containers (repeatable)")
	root.AddCommand(image)
	return root
}

// choose returns the named platforms of those there are, all when none is named.
func choose(names []string, all []licences.Platform) ([]licences.Platform, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []licences.Platform
	for _, name := range names {
		system, arch, ok := strings.Cut(name, "/")
		p := licences.Platform{OS: system, Arch: arch}
		known := false
		for _, a := range all {
			known = known || a == p
		}
		if !ok || !known {
			return nil, fmt.Errorf("platform %q: there are %v", name, all)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}
