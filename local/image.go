package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/archive"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// InTree is the kind of Options.Image that is built from the tree.
const InTree = "in-tree"

// ImageArtifact is the artifact in which image tasks leave their image.
const ImageArtifact = "public/image.tar.zst"

// wish is what a payload says of its image (taskcluster-map 16.5).
type wish struct {
	Type      string `json:"type"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Path      string `json:"path"`
	TaskID    string `json:"taskId"`
}

// wanted is the image to use: what the person says, else the payload.
func (j *job) wanted() (wish, error) {
	if text := j.options.Image; text != "" {
		switch kind, rest, ok := strings.Cut(text, "="); {
		case ok && kind == "task-id":
			return wish{Type: "task-image", TaskID: rest, Path: ImageArtifact}, nil
		case ok && kind == "index":
			return wish{Type: "indexed-image", Namespace: rest, Path: ImageArtifact}, nil
		case ok && kind == InTree:
			return wish{Type: InTree, Name: rest}, nil
		}
		return wish{Type: "docker-image", Name: text}, nil
	}
	raw := j.payload.Container.Image
	w := wish{Type: "docker-image"}
	if json.Unmarshal(raw, &w.Name) == nil && w.Name != "" {
		return w, nil
	}
	if err := json.Unmarshal(raw, &w); err != nil || len(raw) == 0 {
		return w, fault.New(fault.Invalid, "the payload's image %s is not understood: choose one with --image", raw)
	}
	return w, nil
}

// image brings the task's image to the engine and returns what it is called there.
func (j *job) image(ctx context.Context, e *container.Engine) (string, error) {
	w, err := j.wanted()
	if err != nil {
		return "", err
	}
	switch w.Type {
	case "docker-image":
		return w.Name, j.pull(ctx, e, w.Name)
	case InTree:
		if j.BuildImage == nil {
			return "", fault.New(fault.Invalid, "image %s is built from the tree, and there is no tree here", w.Name)
		}
		return j.BuildImage(ctx, e, w.Name)
	case "task-image", "indexed-image":
		if j.Client == nil {
			return "", fault.New(fault.Invalid, "the image is an artifact of another task: set TASKCLUSTER_ROOT_URL to the server that has it, or choose one with --image")
		}
		if w.TaskID == "" {
			found, err := j.Client.FindTask(ctx, w.Namespace)
			if err != nil {
				return "", fmt.Errorf("image %s: %w", w.Namespace, err)
			}
			w.TaskID = found.TaskID
		}
		return LoadImage(ctx, e, j.Client, w.TaskID, w.Path, j.Say)
	}
	return "", fault.New(fault.Invalid, "an image of type %q is not understood: choose one with --image", w.Type)
}

// pull makes sure that an image is there.
func (j *job) pull(ctx context.Context, e *container.Engine, name string) error {
	_, err := e.Image(ctx, name)
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	j.Say("pulling %s", name)
	return e.Pull(ctx, name, func(line string) { j.Say("%s", line) })
}

// loaded is the name under which the engine keeps the image of a task.
func loaded(taskID string) string { return "treeline-task-image:" + taskID }

// LoadImage puts the image that a task left as an artifact into the engine, unless it is there, and returns
// its name.
func LoadImage(ctx context.Context, e *container.Engine, c *client.Client, taskID, artifact string, say func(string, ...any)) (name string, err error) {
	name = loaded(taskID)
	if _, err := e.Image(ctx, name); err == nil {
		say("image of task %s is here already", taskID)
		return name, nil
	} else if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	file, err := os.CreateTemp("", "image-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	say("downloading %s of task %s", artifact, taskID)
	got, err := c.DownloadArtifact(ctx, client.Download{TaskID: taskID, RunID: client.LatestRun, Name: artifact, Progress: progress(say)}, file)
	if err != nil {
		return "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	plain, err := archive.Decompress(ctx, file, archive.Kind(path.Base(artifact)))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	say("loading it into %s: %d MB compressed", e.Name(), got.Size>>20)
	names, err := e.Load(ctx, plain)
	if err != nil {
		return "", err
	}
	return name, e.Tag(ctx, names[0], name)
}

// progress says each tenth of a download.
func progress(say func(string, ...any)) func(done, total int64) {
	tenth := int64(0)
	return func(done, total int64) {
		if total < 10<<20 { // too small to tell of, or not known
			return
		}
		if now := done * 10 / total; now > tenth {
			tenth = now
			say("%d of %d MB", done>>20, total>>20)
		}
	}
}
