package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

func newArtifactCommand() *cobra.Command {
	return newRemoteGroup("artifact", "List, download and upload artifacts",
		"Works on artifacts of tasks. Downloads resume where they broke and are verified by sha256.",
		newArtifactList, newArtifactGet, newArtifactPut)
}

func newArtifactList(r *remote) *cobra.Command {
	var run int
	cmd := &cobra.Command{
		Use: "list TASK", Short: "List the artifacts of a run", Args: cobra.ExactArgs(1),
		Example: "  treeline artifact list fN1SbArXTPSVFNUvaOlinQ --run 0",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			artifacts := []client.Artifact{}
			for a, err := range r.client.Artifacts(cmd.Context(), args[0], run) {
				if err != nil {
					return err
				}
				artifacts = append(artifacts, a)
			}
			if r.json {
				return r.printJSON(map[string]any{"artifacts": artifacts})
			}
			for _, a := range artifacts {
				length := "-"
				if a.ContentLength != nil {
					length = size(*a.ContentLength)
				}
				r.printf("%-9s  %10s  %s  (%s)\n", a.StorageType, length, a.Name, orText(a.ContentType, "no content"))
			}
			return nil
		}),
	}
	runFlag(cmd, &run)
	return cmd
}

func newArtifactGet(r *remote) *cobra.Command {
	var run int
	var output string
	cmd := &cobra.Command{
		Use: "get TASK NAME", Short: "Download an artifact", Args: cobra.ExactArgs(2),
		Long: "Downloads an artifact to a file named as its last part, or to --output; - is standard output.",
		Example: `  treeline artifact get fN1SbArXTPSVFNUvaOlinQ public/build.tar.gz
  treeline artifact get fN1SbArXTPSVFNUvaOlinQ public/report.json -o - | jq .`,
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			down := client.Download{TaskID: args[0], RunID: run, Name: args[1], Progress: r.progress(args[1])}
			if output == "-" && r.json {
				return errors.New("--json and --output - both want standard output: give a file, or leave --json out")
			}
			if output == "-" {
				_, err := r.client.DownloadArtifact(cmd.Context(), down, r.out)
				return err
			}
			target := orText(output, path.Base(args[1]))
			got, err := r.download(cmd.Context(), down, target)
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(map[string]any{"file": target, "size": got.Size, "sha256": got.SHA256, "verified": got.Verified})
			}
			checked := "the server names no sha256 to compare with"
			if got.Verified {
				checked = "sha256 verified"
			}
			r.note("%s: %s, %s", target, size(got.Size), checked)
			return nil
		}),
	}
	runFlag(cmd, &run)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write, - for standard output")
	return cmd
}

// download writes to a file beside the target and renames it when all is verified.
func (r *remote) download(ctx context.Context, down client.Download, target string) (client.Downloaded, error) {
	temp, err := os.CreateTemp(filepath.Dir(target), ".treeline-*")
	if err != nil {
		return client.Downloaded{}, err
	}
	got, err := r.client.DownloadArtifact(ctx, down, temp)
	if err = errors.Join(err, temp.Close()); err != nil {
		return got, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := os.Chmod(temp.Name(), 0o644); err != nil {
		return got, errors.Join(err, os.Remove(temp.Name()))
	}
	return got, os.Rename(temp.Name(), target)
}

func newArtifactPut(r *remote) *cobra.Command {
	var run int
	var kind string
	var keep time.Duration
	cmd := &cobra.Command{
		Use: "put TASK NAME FILE", Short: "Upload a file as an artifact of a running task", Args: cobra.ExactArgs(3),
		Long:    "Uploads a file as an artifact. The run must be running; the scope queue:create-artifact:<task>/<run> is needed, which the task itself has through its proxy.",
		Example: "  treeline artifact put \"$TASK_ID\" public/report.json report.json --run \"$RUN_ID\"",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[2])
			if err != nil {
				return err
			}
			defer file.Close()
			up, err := r.upload(cmd.Context(), args[0], args[1], run, keep)
			if err != nil {
				return err
			}
			up.ContentType = orText(kind, orText(mime.TypeByExtension(path.Ext(args[1])), "application/octet-stream"))
			length, err := file.Seek(0, io.SeekEnd)
			if err != nil {
				return fmt.Errorf("%s: %w", args[2], err)
			}
			done, err := r.client.UploadArtifact(cmd.Context(), up, file, length)
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(map[string]any{"name": up.Name, "runId": up.RunID, "size": done.Size, "sha256": done.SHA256})
			}
			r.note("%s: %s, sha256 %s", up.Name, size(done.Size), done.SHA256)
			return nil
		}),
	}
	runFlag(cmd, &run)
	cmd.Flags().StringVar(&kind, "content-type", "", "content type (default by the name)")
	cmd.Flags().DurationVar(&keep, "expires", 0, "how long to keep it (default as long as the task)")
	return cmd
}

// upload finds the run and the expiry.
func (r *remote) upload(ctx context.Context, taskID, name string, run int, keep time.Duration) (client.Upload, error) {
	s, err := r.client.Status(ctx, taskID)
	if err != nil {
		return client.Upload{}, err
	}
	up := client.Upload{TaskID: taskID, RunID: run, Name: name, Expires: s.Expires, Progress: r.progress(name)}
	if run == client.LatestRun {
		last := s.LastRun()
		if last == nil {
			return up, fault.New(fault.Invalid, "task %s has no run yet", taskID)
		}
		up.RunID = last.RunID
	}
	if keep > 0 {
		up.Expires = task.At(time.Now().Add(keep))
	}
	return up, nil
}
