package runtask

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// fetch is one entry of MOZ_FETCHES: an artifact of another task (taskgraph-map 10.6).
type fetch struct {
	Task     string `json:"task"`
	Artifact string `json:"artifact"`
	Dest     string `json:"dest"`
	Extract  bool   `json:"extract"`
}

// fetchAll downloads what MOZ_FETCHES names into MOZ_FETCHES_DIR, verified by sha256, and unpacks
// the archives among it.
func (r *runner) fetchAll(ctx context.Context, env environment, workdir string) error {
	if env["MOZ_FETCHES"] == "" {
		return nil
	}
	var list []fetch
	if err := json.Unmarshal([]byte(env["MOZ_FETCHES"]), &list); err != nil {
		return fault.Wrap(fault.Invalid, err, "run-task: MOZ_FETCHES is not a JSON list of {task, artifact, dest, extract}")
	}
	into := env["MOZ_FETCHES_DIR"]
	if into == "" {
		into = filepath.Join(workdir, "fetches")
	}
	for _, f := range list {
		if err := r.fetchOne(ctx, env, into, f); err != nil {
			return fmt.Errorf("run-task: fetch %s of task %s: %w", f.Artifact, f.Task, err)
		}
	}
	return nil
}

func (r *runner) fetchOne(ctx context.Context, env environment, into string, f fetch) error {
	dest := filepath.Join(into, filepath.FromSlash(f.Dest))
	if inside, err := filepath.Rel(into, dest); err != nil || !filepath.IsLocal(inside) {
		return fault.New(fault.Invalid, "dest %q leads out of the fetches directory", f.Dest)
	}
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	root := env["TASKCLUSTER_ROOT_URL"]
	if !strings.HasPrefix(f.Artifact, "public/") && env["TASKCLUSTER_PROXY_URL"] != "" {
		root = env["TASKCLUSTER_PROXY_URL"] // signs with the task's own rights
	}
	c, err := client.New(client.Config{RootURL: root})
	if err != nil {
		return err
	}
	file := filepath.Join(dest, path.Base(f.Artifact))
	r.say("fetches", "Downloading %s of task %s to %s", f.Artifact, f.Task, file)
	if err := download(ctx, c, f, file); err != nil {
		return err
	}
	if !f.Extract {
		return nil
	}
	unpack := unpacker(file)
	if unpack == nil {
		return nil
	}
	if err := r.run(ctx, "fetches", dest, unpack); err != nil {
		return err
	}
	return os.Remove(file)
}

func download(ctx context.Context, c *client.Client, f fetch, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	_, err = c.DownloadArtifact(ctx, client.Download{TaskID: f.Task, RunID: client.LatestRun, Name: f.Artifact}, io.Writer(out))
	return err
}

// unpacker returns the command that unpacks an archive in its directory, nil for other files.
func unpacker(file string) []string {
	name := filepath.Base(file)
	switch {
	case strings.HasSuffix(name, ".zip"):
		return []string{"unzip", "-q", "-o", name}
	case strings.HasSuffix(name, ".tgz"), strings.Contains(name, ".tar."), strings.HasSuffix(name, ".tar"):
		return []string{"tar", "xf", name}
	}
	return nil
}
