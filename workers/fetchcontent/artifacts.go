package fetchcontent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/archive"
)

// Artifact is one entry of MOZ_FETCHES: what another task made (taskgraph-map 10.6).
type Artifact struct {
	Task       string `json:"task"`
	Artifact   string `json:"artifact"`
	Dest       string `json:"dest"` // directory below the common one
	Extract    bool   `json:"extract"`
	VerifyHash bool   `json:"verify-hash"` // the digest must be vouched for
}

// ParseArtifacts reads MOZ_FETCHES. Entries without "extract" are unpacked.
func ParseArtifacts(text string) ([]Artifact, error) {
	var raw []json.RawMessage
	err := json.Unmarshal([]byte(text), &raw)
	list := make([]Artifact, len(raw))
	for i := range raw {
		list[i].Extract = true
		err = errors.Join(err, json.Unmarshal(raw[i], &list[i]))
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "MOZ_FETCHES is not a JSON list of {task, artifact, dest, extract, verify-hash}")
	}
	for _, a := range list {
		if a.Task == "" || a.Artifact == "" || strings.HasSuffix(a.Artifact, "/") {
			return nil, fault.New(fault.Invalid, "MOZ_FETCHES: an entry lacks its task or the name of its artifact")
		}
		if a.Dest != "" && !filepath.IsLocal(filepath.FromSlash(a.Dest)) {
			return nil, fault.New(fault.Invalid, "MOZ_FETCHES: dest %q leads out of the directory of fetches", a.Dest)
		}
	}
	return list, nil
}

func (f *Fetcher) artifactsCommand(ctx context.Context, args []string) error {
	dir := f.Env("MOZ_FETCHES_DIR")
	flags := pflag.NewFlagSet("task-artifacts", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVarP(&dir, "dest", "d", dir, "")
	if err := flags.Parse(args); err != nil {
		return fault.Wrap(fault.BadArguments, err, "task-artifacts")
	}
	if dir == "" || flags.NArg() > 0 {
		return fault.New(fault.BadArguments, "task-artifacts takes -d DIR, or MOZ_FETCHES_DIR in the environment, and no words")
	}
	if f.Env("MOZ_FETCHES") == "" {
		return fault.New(fault.BadArguments, "MOZ_FETCHES is not set")
	}
	list, err := ParseArtifacts(f.Env("MOZ_FETCHES"))
	if err != nil {
		return err
	}
	return f.Artifacts(ctx, list, dir)
}

// Artifacts downloads all below dir, several at once, and unpacks those that are archives. The server's
// sha256 is checked where it has one.
func (f *Fetcher) Artifacts(ctx context.Context, list []Artifact, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(runtime.NumCPU(), 2))
	for _, a := range list {
		g.Go(func() error {
			if err := f.artifact(ctx, a, dir); err != nil {
				return fmt.Errorf("%s of task %s: %w", a.Artifact, a.Task, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// from returns the client that may read the artifact: anybody reads what is public; for the rest the proxy
// signs with the task's own rights.
func (f *Fetcher) from(a Artifact) (*client.Client, error) {
	root := f.Env("TASKCLUSTER_ROOT_URL")
	if proxy := f.Env("TASKCLUSTER_PROXY_URL"); proxy != "" && (root == "" || !strings.HasPrefix(a.Artifact, "public/")) {
		root = proxy
	}
	if root == "" {
		return nil, fault.New(fault.Invalid, "TASKCLUSTER_ROOT_URL is not set, so there is no server to fetch from")
	}
	return client.New(client.Config{RootURL: root})
}

func (f *Fetcher) artifact(ctx context.Context, a Artifact, dir string) error {
	c, err := f.from(a)
	if err != nil {
		return err
	}
	into := filepath.Join(dir, filepath.FromSlash(a.Dest))
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	file := filepath.Join(into, path.Base(a.Artifact))
	began := time.Now()
	var got client.Downloaded
	err = writeFile(file, func(out *os.File) error {
		if got, err = c.DownloadArtifact(ctx, client.Download{TaskID: a.Task, RunID: client.LatestRun, Name: a.Artifact}, out); err != nil {
			return err
		}
		if a.VerifyHash {
			return f.vouched(ctx, c, a, got)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.Say("Downloaded %s of task %s: %d bytes in %v, sha256 %s", a.Artifact, a.Task, got.Size, time.Since(began).Round(time.Millisecond), got.SHA256)
	if !a.Extract || archive.Kind(file) == "" {
		return nil
	}
	return f.extract(ctx, file, into)
}

// extract unpacks the archive beside itself and removes it.
func (f *Fetcher) extract(ctx context.Context, file, into string) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	root, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := archive.Extract(ctx, in, filepath.Base(file), root); err != nil {
		return err
	}
	f.Say("Unpacked %s", filepath.Base(file))
	return os.Remove(file)
}

// chainOfTrust is the artifact in which a worker vouches for what a task made.
const chainOfTrust = "public/chain-of-trust.json"

// vouched compares the digest with the one that the worker wrote down; where it wrote none, the queue's own
// record of the upload counts.
func (f *Fetcher) vouched(ctx context.Context, c *client.Client, a Artifact, got client.Downloaded) error {
	var text strings.Builder
	_, err := c.DownloadArtifact(ctx, client.Download{TaskID: a.Task, RunID: client.LatestRun, Name: chainOfTrust}, &text)
	if errors.Is(err, fault.NotFound) && got.Verified {
		f.Say("Task %s has no chain of trust; the queue's sha256 of %s is good", a.Task, a.Artifact)
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify-hash: %w", err)
	}
	var chain struct {
		Artifacts map[string]struct {
			SHA256 string `json:"sha256"`
		} `json:"artifacts"`
	}
	if err := json.Unmarshal([]byte(text.String()), &chain); err != nil {
		return fmt.Errorf("verify-hash: %s: %w", chainOfTrust, err)
	}
	if want := chain.Artifacts[a.Artifact].SHA256; want != got.SHA256 {
		return fault.New(fault.Invalid, "sha256 is %s, the chain of trust of its task says %q", got.SHA256, want)
	}
	return nil
}
