package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/feature/testresults"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

// digest notes what an artifact's content is, for the certificate.
func (r *run) digest(name, sha256 string) {
	r.digestsMu.Lock()
	defer r.digestsMu.Unlock()
	if r.digests == nil {
		r.digests = map[string]trust.Artifact{}
	}
	r.digests[name] = trust.Artifact{SHA256: sha256}
}

// reserved are names that the worker gives.
func (r *run) reserved(name string) bool {
	switch name {
	case r.payload.LiveName, r.payload.BackingName:
		return true
	case trust.Certificate, trust.Signature, trust.Log:
		return r.payload.Trust
	}
	return false
}

// extras makes the artifacts that come of themselves: a summary of tests, what was used, and last the certificate.
func (r *run) extras(files []found) error {
	if err := r.summarizeTests(files); err != nil {
		return err
	}
	if err := r.reportUsage(); err != nil {
		return err
	}
	return r.certify()
}

// summarizeTests looks for results of tests among the artifacts, and makes one more of what they say.
func (r *run) summarizeTests(files []found) error {
	var s testresults.Summary
	for _, f := range files {
		if f.name == testresults.Artifact {
			return nil // the task makes its own
		}
		if !testresults.Candidate(f.name) {
			continue
		}
		file, info, err := r.open(f.file)
		if err != nil {
			continue // it was uploaded; that it goes now is the task's own doing
		}
		if info.Size() <= testresults.MaxFile {
			if held, err := s.Add(f.name, file); held && err != nil {
				r.log.Warn("Test results in %s can only be read in part: %v", f.name, err)
			}
		}
		_ = file.Close() // it was only read
	}
	if len(s.Files) == 0 {
		return nil
	}
	s.Finish()
	r.log.Say("Tests: %d passed, %d failed, %d skipped (%d files of results).", s.Passed, s.Failed, s.Skipped, len(s.Files))
	for _, f := range s.Failures[:min(len(s.Failures), 10)] {
		r.log.Error("Test failed: %s %s", f.Suite, f.Name)
	}
	return r.document(testresults.Artifact, s)
}

// certify signs what the task made (taskcluster-map 16.4, chainOfTrust).
func (r *run) certify() error {
	if !r.payload.Trust {
		return nil
	}
	if r.w.SigningKey == nil {
		return fault.New(fault.Invalid, "features/chainOfTrust: this worker has no key to sign with (treeline worker run --signing-key)")
	}
	size := r.log.Size()
	up := client.Upload{TaskID: r.taskID, RunID: r.claim.RunID, Name: trust.Log, ContentType: "text/plain; charset=utf-8", Expires: r.claim.Task.Expires}
	done, err := r.lease.client().UploadArtifact(r.doing, up, io.NewSectionReader(r.log, 0, size), size)
	if err != nil {
		return fmt.Errorf("artifact %s: %w", trust.Log, err)
	}
	r.digest(trust.Log, done.SHA256)
	at := trust.Environment{TaskQueueID: r.w.TaskQueueID, Engine: r.w.Engine.Name(), SchedulerID: r.claim.Task.SchedulerID, Caches: r.mounted.Names()}
	if r.image != nil {
		at.ImageID = r.image.ID
		if sum, _, ok := strings.Cut(r.image.Artifact, " "); ok {
			at.ImageArtifactHash = "sha256:" + sum
		}
	}
	definition, err := json.Marshal(r.claim.Task)
	if err != nil {
		return err
	}
	certificate, signature, err := trust.Sign(r.w.SigningKey, trust.Statement{
		Artifacts: r.digests, Task: definition, TaskID: r.taskID, RunID: r.claim.RunID,
		WorkerGroup: r.w.WorkerGroup, WorkerID: r.w.WorkerID, Environment: at,
	})
	if err != nil {
		return err
	}
	r.log.Say("Certificate: %d artifacts, signed with this worker's key.", len(r.digests))
	return errors.Join(r.uploadBytes(trust.Certificate, "application/json", certificate), r.uploadBytes(trust.Signature, "application/octet-stream", signature))
}

// trusted checks that the task's definition was signed by somebody whom the worker trusts, if it asks for that.
func (r *run) trusted() error {
	if len(r.w.TaskKeys) == 0 {
		return nil
	}
	key, err := trust.VerifyTask(r.w.TaskKeys, r.taskID, r.claim.Task)
	if err == nil {
		r.log.Say("The task's definition is signed by key %s.", key)
	}
	return err
}
