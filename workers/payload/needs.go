package payload

import (
	"cmp"
	"fmt"
	"slices"
)

// Need is a right that a payload's wish takes: the task must have one of the scopes.
type Need struct {
	Field  string // in the payload
	Scopes []string
}

// Sandbox are a payload's wishes for more than a sandbox gives by itself. Whether the task may have them, its
// scopes tell: see Needs.
type Sandbox struct {
	Privileged    bool
	Ptrace        bool
	NoSeccomp     bool
	SharedMemory  bool
	KVM           bool
	LoopbackVideo bool
	LoopbackAudio bool
	AsAgent       bool     // commands run as the worker's own user
	Groups        []string // of the system, that commands are to be in
}

// Needs are the rights for what is wished, for a worker of the given task queue.
func (p *Payload) Needs(queue string) []Need {
	var out []Need
	s := p.Sandbox
	need := func(wished bool, field string, scopes ...string) {
		if wished {
			out = append(out, Need{field, scopes})
		}
	}
	docker := func(wished bool, field, what string) {
		need(wished, field, "docker-worker:"+what, "docker-worker:"+what+":"+queue)
	}
	if p.Container != nil {
		docker(s.Privileged, "/capabilities/privileged", "capability:privileged")
		docker(s.NoSeccomp, "/capabilities/disableSeccomp", "capability:disableSeccomp")
		docker(s.SharedMemory, "/capabilities/devices/hostSharedMemory", "capability:device:hostSharedMemory")
		docker(s.KVM, "/capabilities/devices/kvm", "capability:device:kvm")
		docker(s.LoopbackVideo, "/capabilities/devices/loopbackVideo", "capability:device:loopbackVideo")
		docker(s.LoopbackAudio, "/capabilities/devices/loopbackAudio", "capability:device:loopbackAudio")
		docker(s.Ptrace, "/features/allowPtrace", "feature:allowPtrace")
		return out
	}
	need(s.LoopbackVideo, "/features/loopbackVideo", "generic-worker:loopback-video", "generic-worker:loopback-video:"+queue)
	need(s.LoopbackAudio, "/features/loopbackAudio", "generic-worker:loopback-audio", "generic-worker:loopback-audio:"+queue)
	need(s.AsAgent, "/features/runTaskAsCurrentUser", "generic-worker:run-task-as-current-user:"+queue)
	for i, g := range s.Groups {
		need(true, fmt.Sprintf("/osGroups/%d", i), "generic-worker:os-group:"+queue+"/"+g)
	}
	slices.SortStableFunc(out, func(a, b Need) int { return cmp.Compare(a.Field, b.Field) })
	return out
}
