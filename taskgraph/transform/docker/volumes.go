// Package docker knows the docker images of a tree: the volumes their Dockerfiles declare, the
// context from which each is built, and its digest (taskgraph-map 21.1).
package docker

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

type volumesOf struct{}

// Volumes returns the volumes that the Dockerfile of an image declares, sorted.
func Volumes(s *transform.Shared, image string) ([]string, error) {
	v, err := s.Memo(volumesOf{}, image, func() (any, error) { return readVolumes(s, image) })
	if err != nil {
		return nil, err
	}
	return v.([]string), nil
}

func readVolumes(s *transform.Shared, image string) ([]string, error) {
	dir, err := imageDir(s, image)
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, "Dockerfile")
	b, err := fs.ReadFile(s.Tree, file)
	if err != nil {
		return nil, fmt.Errorf("the image %q of the tree has no %s", image, file)
	}
	out := []string{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "VOLUME ")
		if !ok {
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(rest), "[") {
			return nil, fmt.Errorf("%s:%d: VOLUME with a list in brackets is not understood; write one VOLUME line for each path", file, n)
		}
		for _, v := range strings.Fields(rest) {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

type definitionsOf struct{}

// imageDir is the directory of an image: its definition's, as the kind of docker images says.
func imageDir(s *transform.Shared, image string) (string, error) {
	v, err := s.Memo(definitionsOf{}, "", func() (any, error) { return definitions(s) })
	if err != nil {
		return "", err
	}
	definition := image
	if d, ok := v.(map[string]string)[image]; ok {
		definition = d
	}
	return path.Join(s.Graph.Root, "docker", definition), nil
}

// definitions maps the images to their definitions, where those have another name.
func definitions(s *transform.Shared) (map[string]string, error) {
	out := map[string]string{}
	name := path.Join(s.Graph.Root, "kinds", s.Graph.DockerImageKind(), "kind.yml")
	if _, err := fs.Stat(s.Tree, name); err != nil {
		return out, nil // no kind makes images: names are directories
	}
	file, err := source.Read(s.Tree, name)
	if err != nil {
		return nil, err
	}
	m, err := file.Map()
	if err != nil {
		return nil, err
	}
	for image, v := range value.Map(m, "tasks") {
		entry, _ := v.(map[string]any)
		if d := value.String(entry, "definition"); d != "" {
			out[image] = d
		}
	}
	return out, nil
}
