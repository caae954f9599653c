package payload

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/task"
)

type dockerPayload struct {
	Image      json.RawMessage   `json:"image"`
	Command    []string          `json:"command"`
	Env        map[string]string `json:"env"`
	MaxRunTime json.Number       `json:"maxRunTime"`
	Artifacts  map[string]struct {
		Type    string     `json:"type"`
		Path    string     `json:"path"`
		Expires *task.Time `json:"expires"`
	} `json:"artifacts"`
	Cache        map[string]string `json:"cache"`
	Capabilities struct {
		Privileged     bool `json:"privileged"`
		DisableSeccomp bool `json:"disableSeccomp"`
		Devices        struct {
			LoopbackVideo    bool `json:"loopbackVideo"`
			LoopbackAudio    bool `json:"loopbackAudio"`
			HostSharedMemory bool `json:"hostSharedMemory"`
			KVM              bool `json:"kvm"`
		} `json:"devices"`
	} `json:"capabilities"`
	Features     map[string]bool `json:"features"`
	Log          string          `json:"log"`
	OnExitStatus onExitStatus    `json:"onExitStatus"`
}

// docker reads the dialect of containers, by default for an engine that has none: the command runs on the
// machine itself, and paths that begin at the container's root begin at the task's directory.
func (p *Parser) docker(raw json.RawMessage, o Options) (*Payload, []string) {
	if problems := p.check(p.dockerSchema, raw); len(problems) > 0 {
		return nil, problems
	}
	var in dockerPayload
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, []string{"(payload): " + err.Error()}
	}
	live := orName(in.Log, LiveLog)
	ext := path.Ext(live)
	devices := in.Capabilities.Devices
	out := &Payload{
		Env: in.Env, RetryOn: in.OnExitStatus.Retry, PurgeOn: in.OnExitStatus.PurgeCaches,
		Live: orTrue(in.Features, "localLiveLog"), Backing: orTrue(in.Features, "bulkLog"),
		Interactive: in.Features["interactive"], Trust: in.Features["chainOfTrust"], Monitor: true,
		LiveName: live, BackingName: strings.TrimSuffix(live, ext) + "_backing" + ext, Image: imageName(in.Image),
		Container: &Container{Image: in.Image, Ref: imageRef(in.Image), Caches: in.Cache},
		Sandbox: Sandbox{
			Privileged: in.Capabilities.Privileged, NoSeccomp: in.Capabilities.DisableSeccomp, Ptrace: in.Features["allowPtrace"],
			SharedMemory: devices.HostSharedMemory, KVM: devices.KVM, LoopbackVideo: devices.LoopbackVideo, LoopbackAudio: devices.LoopbackAudio,
		},
	}
	// Who names an image of the index may well ask the index itself (taskcluster-map 16.5).
	out.Proxy = in.Features["taskclusterProxy"] || out.Container.Ref.Namespace != ""
	var problems []string
	out.MaxRunTime, problems = seconds(in.MaxRunTime, problems)
	switch {
	case o.Containers:
	case out.Image != "" && !o.AcceptImages:
		problems = append(problems, "/image: this worker has no containers (start it with --accept-images to run such tasks on the machine itself)")
	case out.Image != "":
		out.Notes = append(out.Notes, "image "+out.Image+" is not used: this worker runs commands on the machine itself")
	}
	if o.Containers && len(in.Command) == 0 {
		out.Commands = [][]string{nil} // the image's own
	} else if len(in.Command) == 0 || in.Command[0] == "" {
		problems = append(problems, "/command: is needed: there is no image that could have one of its own")
	} else {
		out.Commands = [][]string{in.Command}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Artifacts)) {
		a := in.Artifacts[name]
		if !orTrue(in.Features, "artifacts") {
			out.Notes = append(out.Notes, "artifact "+name+" is left out: the feature artifacts is off")
			continue
		}
		if o.Containers && !path.IsAbs(a.Path) {
			problems = append(problems, fmt.Sprintf("/artifacts/%s/path: %q is not absolute: give the path in the container", name, a.Path))
		}
		problems = append(problems, local("/artifacts/"+name+"/path", strings.TrimLeft(a.Path, "/"))...)
		out.Artifacts = append(out.Artifacts, Artifact{
			Name: strings.Trim(name, "/"), Path: a.Path, Directory: a.Type != "file", Expires: a.Expires,
		})
	}
	if !o.Containers {
		problems = append(problems, out.atHome()...)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Cache)) {
		if o.Containers && !path.IsAbs(in.Cache[name]) {
			problems = append(problems, fmt.Sprintf("/cache/%s: %q is not absolute: give the path in the container", name, in.Cache[name]))
		}
	}
	if !o.Containers && out.Sandbox.asked() {
		out.Notes = append(out.Notes, "capabilities of containers are not given: this worker runs commands on the machine itself")
		out.Sandbox = Sandbox{}
	}
	return out, problems
}

// imageRef reads the four ways to name an image, which the schema has checked.
func imageRef(raw json.RawMessage) Image {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return Image{Name: name}
	}
	var image struct{ Name, Namespace, Path, TaskID string }
	if json.Unmarshal(raw, &image) != nil {
		return Image{}
	}
	return Image{Name: image.Name, TaskID: image.TaskID, Namespace: image.Namespace, Artifact: image.Path}
}

func (s Sandbox) asked() bool {
	return s.Privileged || s.Ptrace || s.NoSeccomp || s.SharedMemory || s.KVM || s.LoopbackVideo || s.LoopbackAudio
}

// imageName describes an image for people.
func imageName(raw json.RawMessage) string {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name
	}
	var image struct{ Type, Name, Namespace, Path, TaskID string }
	if json.Unmarshal(raw, &image) != nil {
		return ""
	}
	return strings.TrimSpace(image.Type + " " + image.Name + image.Namespace + image.TaskID + " " + image.Path)
}
