package trust

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const maxCertificate = 16 << 20

// Checked is what was found out about one task.
type Checked struct {
	TaskID    string      `json:"taskId"`
	Name      string      `json:"name"`
	Artifacts []string    `json:"artifacts"` // those whose content is as certified
	At        Environment `json:"environment"`
	Problems  []string    `json:"problems"`
}

// Verifier checks tasks of a server against keys.
type Verifier struct {
	Client *client.Client
	Keys   []ed25519.PublicKey
	Deep   bool // the tasks that the task depends on as well, and those that these depend on
}

// Verify checks a task: that its certificate is signed by a trusted key, speaks of this task as the queue knows it
// and of its last run, and that each artifact of that run has the certified content. The error is about what
// could not be asked; what is wrong is among the problems.
func (v Verifier) Verify(ctx context.Context, taskID string) ([]Checked, error) {
	var out []Checked
	seen := map[string]bool{}
	next := []string{taskID}
	for len(next) > 0 {
		id := next[0]
		next = next[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		checked, definition, err := v.one(ctx, id)
		if err != nil {
			return out, fmt.Errorf("task %s: %w", id, err)
		}
		out = append(out, checked)
		if v.Deep {
			next = append(next, definition.Dependencies...)
		}
	}
	return out, nil
}

func (v Verifier) one(ctx context.Context, id string) (Checked, task.Definition, error) {
	out := Checked{TaskID: id, Artifacts: []string{}, Problems: []string{}}
	status, err := v.Client.Status(ctx, id)
	if err != nil {
		return out, task.Definition{}, err
	}
	var definition task.Definition
	var raw json.RawMessage
	if err := v.Client.Call(ctx, "queue", "GET", client.Path("task", id), nil, nil, &raw); err != nil {
		return out, definition, err
	}
	if err := json.Unmarshal(raw, &definition); err != nil {
		return out, definition, err
	}
	out.Name = definition.Metadata.Name
	wrong := func(format string, args ...any) { out.Problems = append(out.Problems, fmt.Sprintf(format, args...)) }
	if status.State != task.Completed || len(status.Runs) == 0 {
		wrong("the task is %s, not completed", status.State)
		return out, definition, nil
	}
	run := status.LastRun()
	statement, err := v.open(ctx, id, run.RunID)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Forbidden) || errors.Is(err, fault.Invalid) {
		wrong("%v", err)
		return out, definition, nil
	}
	if err != nil {
		return out, definition, err
	}
	out.At = statement.Environment
	if statement.TaskID != id || statement.RunID != run.RunID {
		wrong("the certificate is of task %s, run %d", statement.TaskID, statement.RunID)
	}
	if statement.WorkerGroup != run.WorkerGroup || statement.WorkerID != run.WorkerID {
		wrong("the certificate is of worker %s/%s, the queue says %s/%s", statement.WorkerGroup, statement.WorkerID, run.WorkerGroup, run.WorkerID)
	}
	if !sameDefinition(statement.Task, raw) {
		wrong("the definition in the certificate is not the queue's")
	}
	return out, definition, v.artifacts(ctx, &out, statement, run.RunID)
}

func (v Verifier) open(ctx context.Context, id string, run int) (Statement, error) {
	read := func(name string) ([]byte, error) {
		var b bytes.Buffer
		_, err := v.Client.DownloadArtifact(ctx, client.Download{TaskID: id, RunID: run, Name: name}, &limited{b: &b})
		return b.Bytes(), err
	}
	certificate, err := read(Certificate)
	if err != nil {
		return Statement{}, err
	}
	signature, err := read(Signature)
	if err != nil {
		return Statement{}, err
	}
	return Open(certificate, signature, v.Keys)
}

type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxCertificate {
		return 0, fault.New(fault.Invalid, "the certificate has more than %d bytes", maxCertificate)
	}
	return l.b.Write(p)
}

// artifacts downloads each one that is certified, and looks for others.
func (v Verifier) artifacts(ctx context.Context, out *Checked, s Statement, run int) error {
	for _, name := range slices.Sorted(maps.Keys(s.Artifacts)) {
		got, err := v.Client.DownloadArtifact(ctx, client.Download{TaskID: s.TaskID, RunID: run, Name: name}, io.Discard)
		switch {
		case errors.Is(err, fault.NotFound), errors.Is(err, fault.Gone):
			out.Problems = append(out.Problems, fmt.Sprintf("artifact %s is certified and not there", name))
		case err != nil:
			return err
		case got.SHA256 != s.Artifacts[name].SHA256:
			out.Problems = append(out.Problems, fmt.Sprintf("artifact %s has sha256 %s, certified is %s", name, got.SHA256, s.Artifacts[name].SHA256))
		default:
			out.Artifacts = append(out.Artifacts, name)
		}
	}
	for a, err := range v.Client.Artifacts(ctx, s.TaskID, run) {
		if err != nil {
			return err
		}
		// The certificate cannot speak of itself, nor of the log, which goes on after it.
		_, certified := s.Artifacts[a.Name]
		stored := a.StorageType == "s3" || a.StorageType == "object"
		if !certified && stored && a.Name != Certificate && a.Name != Signature && !growing(a.Name) {
			out.Problems = append(out.Problems, fmt.Sprintf("artifact %s is not certified", a.Name))
		}
	}
	return nil
}

// growing tells the log, of which Log is the certified copy, by what its name ends in.
func growing(name string) bool {
	return name == "public/logs/live.log" || name == "public/logs/live_backing.log"
}

// sameDefinition compares the certified definition with the queue's, however they are written.
func sameDefinition(a, b json.RawMessage) bool {
	x, errX := canonical(a)
	y, errY := canonical(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func canonical(definition json.RawMessage) (out any, err error) {
	var d task.Definition
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &out)
	return out, err
}
