package workers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

// UsageArtifact is the name of the artifact that says what a run used.
const UsageArtifact = "public/resource-usage.json"

// timing is how long one command took.
type timing struct {
	Command int     `json:"command"` // from 1 on
	Seconds float64 `json:"seconds"`
	Exit    int     `json:"exit"`
}

// usageReport is what the artifact says.
type usageReport struct {
	Version     int       `json:"version"` // 1
	Engine      string    `json:"engine"`
	Claimed     task.Time `json:"claimed"`
	Prepared    float64   `json:"prepareSeconds"` // from the claim to the first command: image, mounts, caches
	Commands    []timing  `json:"commands"`
	Seconds     float64   `json:"seconds"`      // of all commands
	CPU         float64   `json:"cpuSeconds"`   // of all processes; 0: not known
	Memory      int64     `json:"maxMemory"`    // bytes at once; 0: not known
	MemoryLimit int64     `json:"memoryLimit"`  // 0: none
	OOMKills    int       `json:"oomKills"`     // processes killed for want of memory
	Refused     int       `json:"refusedForks"` // for there being too many processes
	LogBytes    int64     `json:"logBytes"`
}

// ran is how long the commands ran.
func (r *run) ran() time.Duration {
	var d time.Duration
	for _, t := range r.timings {
		d += time.Duration(t.Seconds * float64(time.Second))
	}
	return d
}

// sayUsage sums up in the log what the task used.
func (r *run) sayUsage() {
	if r.began.IsZero() {
		return
	}
	parts := []string{fmt.Sprintf("commands took %s", r.ran().Round(time.Millisecond)), fmt.Sprintf("preparing %s", r.began.Sub(r.claimed).Round(time.Millisecond))}
	if r.usage.CPU > 0 {
		parts = append(parts, fmt.Sprintf("processor time %s", r.usage.CPU.Round(time.Millisecond)))
	}
	if r.usage.Memory > 0 {
		parts = append(parts, fmt.Sprintf("memory %.1f MB at most", float64(r.usage.Memory)/(1<<20)))
	}
	r.log.Say("Used: %s.", strings.Join(parts, ", "))
}

// reportUsage makes the artifact. A short run has nothing to tell.
func (r *run) reportUsage() error {
	if !r.payload.Monitor || r.ran() < r.w.Monitor {
		return nil
	}
	return r.document(UsageArtifact, usageReport{
		Version: 1, Engine: r.w.Engine.Name(), Claimed: task.At(r.claimed), Prepared: r.began.Sub(r.claimed).Seconds(), Commands: r.timings,
		Seconds: r.ran().Seconds(), CPU: r.usage.CPU.Seconds(), Memory: r.usage.Memory, MemoryLimit: r.w.Limits.Memory,
		OOMKills: r.usage.OOMKills, Refused: r.usage.Refused, LogBytes: r.log.Size(),
	})
}

// document makes an artifact of a value's JSON.
func (r *run) document(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return r.uploadBytes(name, "application/json", append(text, '\n'))
}

// uploadBytes makes an artifact of a few bytes, and keeps its digest for the certificate.
func (r *run) uploadBytes(name, contentType string, content []byte) error {
	up := client.Upload{TaskID: r.taskID, RunID: r.claim.RunID, Name: name, ContentType: contentType, Expires: r.claim.Task.Expires}
	done, err := r.lease.client().UploadArtifact(r.doing, up, bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return fmt.Errorf("artifact %s: %w", name, err)
	}
	r.digest(name, done.SHA256)
	return nil
}
