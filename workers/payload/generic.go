package payload

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/task"
)

type genericPayload struct {
	Command    json.RawMessage   `json:"command"`
	Env        map[string]string `json:"env"`
	MaxRunTime json.Number       `json:"maxRunTime"`
	Artifacts  []struct {
		Type        string     `json:"type"`
		Path        string     `json:"path"`
		Name        string     `json:"name"`
		Expires     *task.Time `json:"expires"`
		ContentType string     `json:"contentType"`
		Optional    bool       `json:"optional"`
	} `json:"artifacts"`
	Features map[string]bool `json:"features"`
	Logs     struct {
		Live    string `json:"live"`
		Backing string `json:"backing"`
	} `json:"logs"`
	Mounts []struct {
		File      string   `json:"file"`
		Directory string   `json:"directory"`
		CacheName string   `json:"cacheName"`
		Content   *Content `json:"content"`
		Format    string   `json:"format"`
	} `json:"mounts"`
	OnExitStatus onExitStatus `json:"onExitStatus"`
	OSGroups     []string     `json:"osGroups"`
}

func (p *Parser) generic(raw json.RawMessage, _ Options) (*Payload, []string) {
	if problems := p.check(p.genericSchema, raw); len(problems) > 0 {
		return nil, problems
	}
	var in genericPayload
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, []string{"(payload): " + err.Error()}
	}
	out := &Payload{
		Env: in.Env, RetryOn: in.OnExitStatus.Retry, PurgeOn: in.OnExitStatus.PurgeCaches,
		Proxy: in.Features["taskclusterProxy"],
		Live:  orTrue(in.Features, "liveLog"), Backing: orTrue(in.Features, "backingLog"),
		Interactive: in.Features["interactive"], Trust: in.Features["chainOfTrust"], Monitor: orTrue(in.Features, "resourceMonitor"),
		Sandbox: Sandbox{
			LoopbackVideo: in.Features["loopbackVideo"], LoopbackAudio: in.Features["loopbackAudio"],
			AsAgent: in.Features["runTaskAsCurrentUser"], Groups: in.OSGroups,
		},
		LiveName: orName(in.Logs.Live, LiveLog), BackingName: orName(in.Logs.Backing, BackingLog),
	}
	var problems []string
	out.MaxRunTime, problems = seconds(in.MaxRunTime, problems)
	out.Commands, problems = commands(in.Command, problems)
	for i, a := range in.Artifacts {
		name := orName(a.Name, path.Clean(a.Path))
		problems = append(problems, local(fmt.Sprintf("/artifacts/%d/path", i), a.Path)...)
		out.Artifacts = append(out.Artifacts, Artifact{
			Name: strings.Trim(name, "/"), Path: a.Path, Directory: a.Type == "directory",
			Expires: a.Expires, ContentType: a.ContentType, Optional: a.Optional,
		})
	}
	caches := map[string]bool{}
	for i, m := range in.Mounts {
		problems = append(problems, local(fmt.Sprintf("/mounts/%d", i), m.File+m.Directory)...)
		if m.CacheName != "" && caches[m.CacheName] {
			problems = append(problems, fmt.Sprintf("/mounts/%d/cacheName: cache %q is mounted twice", i, m.CacheName))
		}
		caches[m.CacheName] = true
		out.Mounts = append(out.Mounts, Mount{
			File: m.File, Directory: m.Directory, CacheName: m.CacheName, Content: m.Content, Format: m.Format,
		})
	}
	return out, problems
}

// commands reads both forms: argument lists, and command lines that a shell takes apart.
func commands(raw json.RawMessage, problems []string) ([][]string, []string) {
	var lists [][]string
	if json.Unmarshal(raw, &lists) == nil {
		for i, argv := range lists {
			if argv[0] == "" {
				problems = append(problems, fmt.Sprintf("/command/%d/0: the program's name is empty", i))
			}
		}
		return lists, problems
	}
	var lines []string
	if err := json.Unmarshal(raw, &lines); err != nil {
		return nil, append(problems, "/command: "+err.Error())
	}
	lists = make([][]string, 0, len(lines))
	for i, line := range lines {
		if i > 0 && strings.HasPrefix(line, "-") {
			return nil, append(problems, fmt.Sprintf("/command/%d: %q looks like an argument, but a flat list holds whole command lines: "+
				"write [[\"program\", \"argument\"]] for an argument list", i, line))
		}
		lists = append(lists, []string{"/bin/sh", "-c", line})
	}
	return lists, problems
}

func seconds(n json.Number, problems []string) (time.Duration, []string) {
	f, err := n.Float64()
	if err != nil || f > float64(maxSeconds) {
		return 0, append(problems, fmt.Sprintf("/maxRunTime: %s seconds are more than the %d that a task may run", n, maxSeconds))
	}
	return time.Duration(f) * time.Second, problems
}

// maxSeconds is a day: nothing runs longer (taskcluster-map 16.6).
const maxSeconds = 86400

// local returns a problem unless the path stays inside the task's directory.
func local(place, file string) []string {
	clean := path.Clean(file)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return []string{fmt.Sprintf("%s: %q leaves the task's directory: give a path relative to it", place, file)}
	}
	return nil
}

func orTrue(features map[string]bool, name string) bool {
	on, set := features[name]
	return on || !set
}

func orName(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}
