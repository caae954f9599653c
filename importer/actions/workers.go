package actions

import (
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/known"
)

var (
	notAlias  = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	ubuntu    = regexp.MustCompile(`^(ubuntu|linux)`)
	windows   = regexp.MustCompile(`^windows`)
	macos     = regexp.MustCompile(`^(macos|osx)`)
	armRunner = regexp.MustCompile(`arm`)
)

// alias is the worker type for labels of runs-on, and its system.
func alias(labels []string) (name, system string) {
	all := strings.ToLower(strings.Join(labels, " "))
	first := strings.ToLower(labels[0])
	if first == "self-hosted" && len(labels) > 1 {
		first = strings.ToLower(labels[1])
	}
	system = "linux"
	switch {
	case windows.MatchString(first) || strings.Contains(all, "windows"):
		name, system = "windows", "windows"
	case macos.MatchString(first) || strings.Contains(all, "macos"):
		name, system = "macos", "macosx"
	case ubuntu.MatchString(first):
		name = "linux"
	}
	standard := name != "" && len(labels) == 1
	if standard && system != "macosx" && armRunner.MatchString(all) {
		name += "-arm64"
	}
	if !standard {
		name = strings.Trim(notAlias.ReplaceAllString(strings.Join(labels, "-"), "-"), "-")
		name = strings.Trim(name[:min(len(name), 38)], "-")
	}
	if name == "" {
		name = "linux"
	}
	return name, system
}

// workerFor is the worker for labels of runs-on, as the table of the options or the converter's own says.
func (c *converter) workerFor(labels []string) *Worker {
	name, system := alias(labels)
	queue := "local/" + name
	if name == "linux" {
		queue = "local/work" // what treeline dev serves
	}
	for _, label := range append([]string{strings.Join(labels, ",")}, labels...) {
		to, ok := c.options.Runners[label]
		if !ok {
			continue
		}
		if provisioner, kind, isQueue := strings.Cut(to, "/"); isQueue {
			name, queue = notAlias.ReplaceAllString(kind, "-"), provisioner+"/"+kind
		} else if name = to; to == "linux" {
			queue = "local/work"
		} else {
			queue = "local/" + to
		}
		break
	}
	return c.worker(Worker{Alias: name, Queue: queue, Implementation: "generic-worker", OS: system, Labels: strings.Join(labels, ", ")})
}

// inContainers is the worker beside another that runs tasks in images.
func (c *converter) inContainers(w *Worker) *Worker {
	d := *w
	d.Alias, d.Implementation, d.OS = w.Alias+"-docker", "docker-worker", "linux"
	if d.Queue == "local/"+w.Alias || d.Queue == "local/work" {
		d.Queue = "local/docker"
	}
	return c.worker(d)
}

func (c *converter) worker(w Worker) *Worker {
	if known := c.workers[w.Alias]; known != nil {
		if !slices.Contains(strings.Split(known.Labels, "; "), w.Labels) {
			known.Labels += "; " + w.Labels
		}
		return known
	}
	c.workers[w.Alias] = &w
	return &w
}

// imageOf lets a job that sets up one language run in its image.
func (f *flow) imageOf(e *entry) {
	found := ""
	for _, st := range f.flatten(e.job.n.At("steps"), e.scope, step{}, 0) {
		if _, runs := st.guard(); !runs {
			continue
		}
		name, at := st.action()
		version, _ := st.with(versionKey(name))
		if version == "" && name == "dtolnay/rust-toolchain" {
			version = at
		}
		if i := known.Image(name, version); i != "" {
			if found != "" && found != i {
				return // two languages: no image has both
			}
			found = i
		}
	}
	if found != "" {
		e.image, e.worker = found, f.c.inContainers(e.worker)
	}
}

func versionKey(action string) string {
	switch action {
	case "actions/setup-go":
		return "go-version"
	case "actions/setup-node":
		return "node-version"
	case "actions/setup-python":
		return "python-version"
	case "ruby/setup-ruby":
		return "ruby-version"
	case "actions/setup-java":
		return "java-version"
	case "shivammathur/setup-php":
		return "php-version"
	case "actions/setup-dotnet":
		return "dotnet-version"
	}
	return "toolchain"
}
