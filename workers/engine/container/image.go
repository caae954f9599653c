package container

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine"
)

// Image is what the engine knows of an image.
type Image = engine.Image

// Image looks an image up by name or id; one that is not there is fault.NotFound.
func (e *Engine) Image(ctx context.Context, name string) (Image, error) {
	found, err := e.api.ImageInspect(ctx, name)
	if err != nil {
		return Image{}, fail(err, "image %s", name)
	}
	out := Image{ID: found.ID, Tags: found.RepoTags, Digests: found.RepoDigests, Size: found.Size}
	if found.Config != nil {
		out.User = found.Config.User
		for _, kv := range found.Config.Env {
			if home, ok := strings.CutPrefix(kv, "HOME="); ok {
				out.Home = home
			}
		}
	}
	return out, nil
}

// Pull downloads an image from its registry.
func (e *Engine) Pull(ctx context.Context, name string, progress func(string)) error {
	answer, err := e.api.ImagePull(ctx, name, client.ImagePullOptions{})
	if err != nil {
		return fail(err, "pull %s", name)
	}
	defer answer.Close()
	if _, err := follow(answer, progress); err != nil {
		return fail(err, "pull %s", name)
	}
	return nil
}

// Build is an image to build.
type Build struct {
	Context io.Reader // a tar, with its Dockerfile at the top
	Tag     string
	Args    map[string]string // of the Dockerfile's ARG lines
	Fresh   bool              // use no layer of earlier builds
}

// Build builds an image and returns its id; progress gets the builder's output line by line.
func (e *Engine) Build(ctx context.Context, b Build, progress func(string)) (string, error) {
	options := client.ImageBuildOptions{Tags: []string{b.Tag}, Remove: true, ForceRemove: true, NoCache: b.Fresh, BuildArgs: map[string]*string{}}
	for name, value := range b.Args {
		options.BuildArgs[name] = &value
	}
	answer, err := e.api.ImageBuild(ctx, b.Context, options)
	if err != nil {
		return "", fail(err, "build %s", b.Tag)
	}
	defer answer.Body.Close()
	if _, err := follow(answer.Body, progress); err != nil {
		return "", fmt.Errorf("container: build %s: %w", b.Tag, err)
	}
	image, err := e.Image(ctx, b.Tag)
	return image.ID, err
}

// Load puts the images of an archive as "docker save" makes it (a tar) into the engine and returns their
// names.
func (e *Engine) Load(ctx context.Context, archive io.Reader) ([]string, error) {
	answer, err := e.api.ImageLoad(ctx, archive)
	if err != nil {
		return nil, fail(err, "load image")
	}
	defer answer.Close()
	said, err := follow(answer, nil)
	if err != nil {
		return nil, fmt.Errorf("container: load image: %w", err)
	}
	var names []string
	for _, line := range said {
		for _, before := range []string{"Loaded image: ", "Loaded image ID: "} {
			if rest, ok := strings.CutPrefix(line, before); ok {
				for name := range strings.SplitSeq(rest, ",") {
					names = append(names, strings.TrimSpace(name))
				}
			}
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Invalid, "the archive holds no image")
	}
	return names, nil
}

// Tag gives an image another name.
func (e *Engine) Tag(ctx context.Context, image, name string) error {
	if _, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: image, Target: name}); err != nil {
		return fail(err, "tag %s as %s", image, name)
	}
	return nil
}

// RemoveImage removes an image.
func (e *Engine) RemoveImage(ctx context.Context, name string) error {
	if _, err := e.api.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true}); err != nil {
		return fail(err, "remove image %s", name)
	}
	return nil
}

// follow reads the messages of a long call to their end; an error among them is the call's.
func follow(r io.Reader, progress func(string)) (said []string, err error) {
	dec := json.NewDecoder(bufio.NewReader(r))
	line := ""
	tell := func(text string) {
		if text = strings.TrimRight(text, "\r\n"); text == "" {
			return
		}
		said = append(said, text)
		if progress != nil {
			progress(text)
		}
	}
	last := map[string]string{} // of each layer that is pulled
	for {
		var m jsonstream.Message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			tell(line)
			return said, nil
		} else if err != nil {
			return said, err
		}
		if m.Error != nil {
			tell(line)
			return said, m.Error
		}
		line += m.Stream
		for {
			whole, rest, ok := strings.Cut(line, "\n")
			if !ok {
				break
			}
			tell(whole)
			line = rest
		}
		if m.Status != "" && last[m.ID] != m.Status {
			last[m.ID] = m.Status
			tell(strings.TrimPrefix(m.ID+": "+m.Status, ": "))
		}
	}
}

// Save returns an image as an archive that Load takes. Close ends it.
func (e *Engine) Save(ctx context.Context, name string) (io.ReadCloser, error) {
	saved, err := e.api.ImageSave(ctx, []string{name})
	if err != nil {
		return nil, fail(err, "save image %s", name)
	}
	return saved, nil
}
