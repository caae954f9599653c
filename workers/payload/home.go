package payload

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// ImageHome is the directory of a task in the images of the field, and what the generator writes into
// commands and environments of docker-worker's dialect.
const ImageHome = "/builds/worker"

// atHome makes a payload that was written for a container fit for a task's directory that is not in one:
// its caches become mounts. Where the directory is, only the run knows: see Rebase.
func (p *Payload) atHome() []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(p.Container.Caches)) {
		place := inside(p.Container.Caches[name])
		if place == "." {
			problems = append(problems, "/cache/"+name+": the task's directory itself cannot be a cache outside of a container")
		}
		p.Mounts = append(p.Mounts, Mount{Directory: place, CacheName: name, Scope: "docker-worker:cache:" + name})
	}
	slices.SortStableFunc(p.Mounts, func(a, b Mount) int { return strings.Compare(a.Directory, b.Directory) }) // parents first
	for i := range p.Artifacts {
		if path.IsAbs(p.Artifacts[i].Path) {
			p.Artifacts[i].Path = inside(p.Artifacts[i].Path)
		}
	}
	return problems
}

// inside is the place in the task's directory of an absolute path in a container: what is below the image's
// home is below the task's directory.
func inside(place string) string {
	place = path.Clean("/" + place)
	if place == ImageHome {
		return "."
	}
	if rest, ok := strings.CutPrefix(place, ImageHome+"/"); ok {
		return rest
	}
	return strings.TrimPrefix(place, "/")
}

// Rebase puts the task's directory, an absolute path, in the place of the image's home wherever commands and
// environment name that, and of the caches and volumes elsewhere. Scripts that images have (run-task,
// fetch-content) are looked up on the PATH. It does nothing to payloads of the other dialect.
func (p *Payload) Rebase(workdir string) {
	if p.Container == nil {
		return
	}
	places := append(slices.Collect(maps.Values(p.Container.Caches)), strings.Split(p.Env["TASKCLUSTER_VOLUMES"], ";")...)
	places = slices.DeleteFunc(places, func(place string) bool {
		return !path.IsAbs(place) || place == "/" || within(path.Clean(place), ImageHome)
	})
	move := func(text string) string {
		text = replacePath(text, ImageHome, workdir)
		for _, place := range places {
			if !within(path.Clean(place), workdir) {
				text = replacePath(text, path.Clean(place), path.Join(workdir, inside(place)))
			}
		}
		return text
	}
	for _, argv := range p.Commands {
		for i := range argv {
			argv[i] = move(argv[i])
		}
		if len(argv) == 0 {
			continue
		}
		if base := path.Base(argv[0]); path.IsAbs(argv[0]) && (base == "run-task" || base == "fetch-content") {
			argv[0] = base
		}
	}
	env := make(map[string]string, len(p.Env))
	for name, value := range p.Env {
		env[name] = move(value)
	}
	p.Env = env
}

func within(place, dir string) bool { return place == dir || strings.HasPrefix(place, dir+"/") }

// replacePath replaces a directory in text where it stands whole: not as the beginning or middle of another
// name.
func replacePath(text, dir, with string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, dir)
		if i < 0 {
			break
		}
		end := i + len(dir)
		out.WriteString(text[:i])
		if i > 0 && partOfName(text[i-1]) || end < len(text) && text[end] != '/' && partOfName(text[end]) {
			out.WriteString(dir)
		} else {
			out.WriteString(with)
		}
		text = text[end:]
	}
	out.WriteString(text)
	return out.String()
}

func partOfName(c byte) bool {
	return c == '_' || c == '-' || c == '.' || c == '/' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
