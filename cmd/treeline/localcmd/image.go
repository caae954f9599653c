package localcmd

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/local"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// imageKind is the kind of the tasks that build images, and how their labels begin.
const imageKind = "docker-image"

// imageTag is what an image of the tree is called when nobody names it.
func imageTag(name string) string { return name + ":latest" }

func newBuildImageCommand() *cobra.Command {
	var c command
	var tag, contextOnly string
	var fresh, asJSON bool
	cmd := &cobra.Command{
		Use:   "build-image NAME",
		Short: "Build an image of the tree with Docker or Podman",
		Long: `Builds the image NAME as its task would: of the same context, byte for byte, with the same arguments, its
parent first. The engine is Docker or Podman, at DOCKER_HOST or the usual sockets.

--context-only writes the context in the place of an image: as the decision publishes it, or, for a FILE.tar,
uncompressed; the sha256 of the latter is the context's hash. - is standard output.`,
		Example: `  treeline taskgraph build-image linux
  treeline taskgraph build-image linux --tag mine:test
  treeline taskgraph build-image linux --context-only context.tar.gz`,
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = c.tree.Does(func(ctx context.Context, args []string) error {
		name := args[0]
		return c.tree.With(func() error {
			if contextOnly != "" {
				return c.writeContext(ctx, name, contextOnly, cmd.OutOrStdout())
			}
			return withEngine(ctx, func(e *container.Engine) error {
				if tag == "" {
					tag = imageTag(name)
				}
				if _, err := c.buildImage(ctx, e, name, tag, fresh); err != nil {
					return err
				}
				return c.result(ctx, cmd.OutOrStdout(), e, tag, asJSON)
			})
		})
	})
	c.tree.Flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&tag, "tag", "t", "", "name of the image (default NAME:latest)")
	f.StringVar(&contextOnly, "context-only", "", "write the context to a file, and build nothing")
	f.BoolVar(&fresh, "no-cache", false, "use no layer of earlier builds")
	f.BoolVar(&asJSON, "json", false, "print the image's name and id as JSON")
	return cmd
}

func newLoadImageCommand() *cobra.Command {
	var c command
	var taskID, tag string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "load-image [NAME]",
		Short: "Download an image that a task has built into Docker or Podman",
		Long: `Puts the image that a finished task has left (` + local.ImageArtifact + `) into Docker or Podman: the one of
--task-id, or the one of the tree's image NAME that the index has, as a task of now would use it.`,
		Example: `  treeline taskgraph load-image linux
  treeline taskgraph load-image --task-id fN1SbArXTPSVFNUvaOlinQ -t mine:test`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.RunE = c.tree.Does(func(ctx context.Context, args []string) error {
		if (len(args) == 0) == (taskID == "") {
			return errors.New("load-image: give the name of an image of the tree, or --task-id")
		}
		if taskID == "" {
			err := c.tree.With(func() (err error) { taskID, err = c.indexedImage(ctx, args[0]); return err })
			if err != nil {
				return err
			}
		}
		server, err := c.server()
		if err != nil {
			return err
		}
		if server == nil {
			return errors.New("load-image: set TASKCLUSTER_ROOT_URL to the server that has the image")
		}
		return withEngine(ctx, func(e *container.Engine) error {
			name, err := local.LoadImage(ctx, e, server, taskID, local.ImageArtifact, c.say)
			if err != nil {
				return err
			}
			if tag != "" {
				if err := e.Tag(ctx, name, tag); err != nil {
					return err
				}
				name = tag
			}
			return c.result(ctx, cmd.OutOrStdout(), e, name, asJSON)
		})
	})
	c.tree.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&taskID, "task-id", "", "the task that has built the image")
	f.StringVarP(&tag, "tag", "t", "", "name of the image")
	f.BoolVar(&asJSON, "json", false, "print the image's name and id as JSON")
	return cmd
}

func withEngine(ctx context.Context, do func(*container.Engine) error) (err error) {
	e, err := container.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return do(e)
}

// result prints what the image is called.
func (c *command) result(ctx context.Context, out io.Writer, e *container.Engine, name string, asJSON bool) error {
	image, err := e.Image(ctx, name)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]string{"name": name, "id": image.ID, "engine": e.Name()})
	}
	_, err = fmt.Fprintln(out, name)
	return err
}

// images makes the graph of image tasks and keeps the contexts of those wanted.
func (c *command) images(ctx context.Context, keep func(name string) bool) (find func(name string) (*graph.Task, error), contexts map[string][]byte, err error) {
	contexts = map[string][]byte{}
	res, err := c.tree.Full(ctx, []string{imageKind}, func(name string, content func() ([]byte, error)) error {
		image := strings.TrimSuffix(strings.TrimPrefix(name, "docker-contexts/"), ".tar.gz")
		if !keep(image) {
			return nil
		}
		b, err := content()
		contexts[image] = b
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return func(name string) (*graph.Task, error) {
		if t := res.Full.Task(imageKind + "-" + name); t != nil {
			return t, nil
		}
		var known []string
		for _, label := range res.Full.Keys() {
			if image, ok := strings.CutPrefix(label, imageKind+"-"); ok {
				known = append(known, image)
			}
		}
		if near := graph.Nearest(name, known); near != "" {
			return nil, fmt.Errorf("there is no image %q; is %q meant?", name, near)
		}
		return nil, fmt.Errorf("there is no image %q; the tree has %s", name, strings.Join(known, ", "))
	}, contexts, nil
}

// writeContext writes the context that the decision would publish.
func (c *command) writeContext(ctx context.Context, name, file string, out io.Writer) error {
	find, contexts, err := c.images(ctx, func(image string) bool { return image == name })
	if err != nil {
		return err
	}
	if _, err := find(name); err != nil {
		return err
	}
	content := contexts[name]
	if strings.HasSuffix(file, ".tar") {
		if content, err = unzip(content); err != nil {
			return err
		}
	}
	if file == "-" {
		_, err = out.Write(content)
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

func unzip(content []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// buildImage builds an image of the tree, and those it is made from before it.
func (c *command) buildImage(ctx context.Context, e *container.Engine, name, tag string, fresh bool) (string, error) {
	find, contexts, err := c.images(ctx, func(string) bool { return true })
	if err != nil {
		return "", err
	}
	t, err := find(name)
	if err != nil {
		return "", err
	}
	var chain []*graph.Task // the image, its parent, and so on
	for t != nil {
		chain = append(chain, t)
		parent, ok := strings.CutPrefix(t.Dependencies["parent"], imageKind+"-")
		if t = nil; ok {
			if t, err = find(parent); err != nil {
				return "", err
			}
		}
	}
	parent := ""
	for i := len(chain) - 1; i >= 0; i-- {
		image := strings.TrimPrefix(chain[i].Label, imageKind+"-")
		as := imageTag(image)
		if i == 0 {
			as = tag
		}
		if err := c.buildOne(ctx, e, chain[i], contexts[image], as, parent, fresh); err != nil {
			return "", err
		}
		parent = as
	}
	return tag, nil
}

func (c *command) buildOne(ctx context.Context, e *container.Engine, t *graph.Task, content []byte, tag, parent string, fresh bool) error {
	plain, err := unzip(content)
	if err != nil {
		return err
	}
	args, err := c.buildArgs(t)
	if err != nil {
		return err
	}
	if parent != "" {
		args["DOCKER_IMAGE_PARENT"] = parent
	}
	c.say("building %s with %s", tag, e.Name())
	_, err = e.Build(ctx, container.Build{Context: bytes.NewReader(plain), Tag: tag, Args: args, Fresh: fresh}, func(line string) {
		if !c.tree.Quiet() {
			c.tree.Screen().Print("  %s", c.tree.Screen().Paint(screen.Faint, line))
		}
	})
	return err
}

// buildArgs are the arguments that the image's task gives to its builder.
func (c *command) buildArgs(t *graph.Task) (map[string]string, error) {
	text := value.String(value.Map(value.Map(t.Definition, "payload"), "env"), "DOCKER_BUILD_ARGS")
	if reference, ok := value.Map(value.Map(t.Definition, "payload"), "env")["DOCKER_BUILD_ARGS"].(map[string]any); ok {
		text = value.String(reference, "task-reference")
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("%s: its arguments cannot be read: %w", t.Label, err)
	}
	args := map[string]string{}
	for name, v := range raw {
		args[name] = value.Text(v)
	}
	if packages := args["DOCKER_IMAGE_PACKAGES"]; packages != "" {
		c.say("%s installs packages of other tasks (%s), which are not given here", t.Label, packages)
	}
	args["DOCKER_IMAGE_PACKAGES"] = ""
	if root := os.Getenv("TASKCLUSTER_ROOT_URL"); root != "" {
		args["TASKCLUSTER_ROOT_URL"] = root
	}
	return args, nil
}

// indexedImage is the finished task that has built the image as it is now.
func (c *command) indexedImage(ctx context.Context, name string) (string, error) {
	find, _, err := c.images(ctx, func(string) bool { return false })
	if err != nil {
		return "", err
	}
	t, err := find(name)
	if err != nil {
		return "", err
	}
	paths, _ := value.Strings(t.Optimization["index-search"])
	ask, err := c.tree.Index()
	if err != nil {
		return "", err
	}
	found, err := ask(ctx, paths)
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if f, ok := found[path]; ok && f.State == "completed" {
			return f.TaskID, nil
		}
	}
	return "", fmt.Errorf("the index has no finished task of the image %s as it is now (%s): build it with \"treeline taskgraph build-image %s\"", name, strings.Join(paths, ", "), name)
}
