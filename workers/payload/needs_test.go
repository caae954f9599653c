package payload_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/workers/payload"
)

func TestContainersAsTheyAreAsked(t *testing.T) {
	for image, want := range map[string]payload.Image{
		`"debian:12"`:        {Name: "debian:12"},
		`"debian@sha256:0f"`: {Name: "debian@sha256:0f"},
		`{"type": "docker-image", "name": "debian"}`:                                     {Name: "debian"},
		`{"type": "task-image", "taskId": "fN1SbArXTPSVFNUvaOlinQ", "path": "public/i"}`: {TaskID: "fN1SbArXTPSVFNUvaOlinQ", Artifact: "public/i"},
		`{"type": "indexed-image", "namespace": "a.b", "path": "public/i"}`:              {Namespace: "a.b", Artifact: "public/i"},
	} {
		got, err := parser(t).Parse(json.RawMessage(`{"maxRunTime": 1, "log": "logs/a.log.txt", "image": `+image+`}`), payload.Options{Containers: true})
		if err != nil {
			t.Errorf("%s: %v", image, err)
			continue
		}
		if diff := cmp.Diff(want, got.Container.Ref); diff != "" {
			t.Errorf("%s: %s", image, diff)
		}
		if got.Proxy != (want.Namespace != "") || got.BackingName != "logs/a.log_backing.txt" || len(got.Commands) != 1 || got.Commands[0] != nil {
			t.Errorf("%s: %+v", image, got)
		}
	}
}

func TestRightsThatWishesTake(t *testing.T) {
	for raw, want := range map[string][]payload.Need{
		`{"image": "i", "maxRunTime": 1, "capabilities": {"privileged": true, "devices": {"kvm": true}}, "features": {"allowPtrace": true}}`: {
			{Field: "/capabilities/privileged", Scopes: []string{"docker-worker:capability:privileged", "docker-worker:capability:privileged:p/w"}},
			{Field: "/capabilities/devices/kvm", Scopes: []string{"docker-worker:capability:device:kvm", "docker-worker:capability:device:kvm:p/w"}},
			{Field: "/features/allowPtrace", Scopes: []string{"docker-worker:feature:allowPtrace", "docker-worker:feature:allowPtrace:p/w"}},
		},
		`{"command": [["true"]], "maxRunTime": 1, "osGroups": ["audio"], "features": {"runTaskAsCurrentUser": true, "loopbackVideo": true}}`: {
			{Field: "/features/loopbackVideo", Scopes: []string{"generic-worker:loopback-video", "generic-worker:loopback-video:p/w"}},
			{Field: "/features/runTaskAsCurrentUser", Scopes: []string{"generic-worker:run-task-as-current-user:p/w"}},
			{Field: "/osGroups/0", Scopes: []string{"generic-worker:os-group:p/w/audio"}},
		},
		`{"command": [["true"]], "maxRunTime": 1}`: nil,
	} {
		got, err := parser(t).Parse(json.RawMessage(raw), payload.Options{Containers: true})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if diff := cmp.Diff(want, got.Needs("p/w")); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
}

func TestProblemsNameTheFieldAndWhatMayBeMeant(t *testing.T) {
	for raw, want := range map[string]string{
		`{"image": "i", "maxRuntime": 1}`:                                                      "additional properties 'maxRuntime' not allowed (did you mean maxRunTime?)",
		`{"image": "i", "maxRunTime": 1, "features": {"dind": true}}`:                          "/features: additional properties 'dind' not allowed",
		`{"image": {"type": "task-image"}, "maxRunTime": 1}`:                                   "/image",
		`{"image": "i", "maxRunTime": 1, "artifacts": {"a": {"type": "file", "path": "rel"}}}`: "/artifacts/a/path: \"rel\" is not absolute",
		`{"image": "i", "maxRunTime": 1, "cache": {"c": "rel"}}`:                               "/cache/c: \"rel\" is not absolute",
		`{"image": "i", "maxRunTime": 1, "capabilities": {"privileged": "yes"}}`:               "/capabilities/privileged",
	} {
		_, err := parser(t).Parse(json.RawMessage(raw), payload.Options{Containers: true})
		if _, ok := errors.AsType[*payload.Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v lacks %q", raw, err, want)
		}
	}
}
