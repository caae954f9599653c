// Package replay runs a decision again from its artifacts and compares what it makes byte by byte.
//
// Artifacts makes all artifacts of a decision, for the one that is made now and for the one that is
// made again; among them replay.json, the Record, which holds what the others do not: names, times,
// the answers of the index, and digests of everything that was read and written. Run reads a Record
// and does it all once more.
//
// A decision is a pure function of its inputs, so the bytes have to be the same; where they are not,
// the Outcome says which artifact differs first where, and what is likely to be the cause.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"runtime/debug"
	"time"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// RecordName is the name of the artifact that holds the Record, without "public/".
const RecordName = "replay.json"

// recordVersion is the version of the form.
const recordVersion = 1

// Record is what a decision was made from, besides its parameters and its tree, and what it made.
type Record struct {
	Version int    `json:"version"`
	Program string `json:"program"` // as Program gives it
	// Repository and Revision name the tree, as the parameters do.
	Repository string `json:"repository"`
	Revision   string `json:"revision"`
	// What taskgraph.Input has under these names.
	Root           string    `json:"root"`
	TargetKinds    []string  `json:"targetKinds,omitempty"`
	DecisionTaskID string    `json:"decisionTaskId"`
	IDSeed         string    `json:"idSeed,omitempty"`
	RootURL        string    `json:"rootUrl"`
	ProxyURL       string    `json:"proxyUrl,omitempty"`
	Now            time.Time `json:"now"`
	Strict         bool      `json:"strict,omitempty"`
	NoVerify       bool      `json:"noVerify,omitempty"`
	Trace          bool      `json:"trace,omitempty"`
	// Lenient says that the parameters were not checked strictly.
	Lenient bool `json:"lenientParameters,omitempty"`
	// Index is what the index answered.
	Index map[string]optimize.Found `json:"index"`
	// InputDigest is a digest of everything the graph was made from; Inputs the sha256 of each file of
	// the tree that was read, Scripts of the program's own.
	InputDigest string            `json:"inputDigest"`
	Inputs      map[string]string `json:"inputs"`
	Scripts     map[string]string `json:"scripts"`
	// Artifacts is the sha256 of each artifact of the decision, by name without "public/".
	Artifacts map[string]string `json:"artifacts"`
}

// Decision is a generation up to taskgraph.Morphed, with what its artifacts need besides.
type Decision struct {
	In     taskgraph.Input
	Result *taskgraph.Result
	// Published is what In.Publish was given.
	Published map[string][]byte
	// Program is the program that made it.
	Program string
}

// configFile is the file of the tree of which actions hold a digest.
const configFile = ".taskcluster.yml"

// scriptNames are the files of taskgraph.Input.Scripts that tasks fetch from the decision.
func scriptNames() []string { return []string{"run-task", "fetch-content"} }

// Artifacts makes all artifacts of a decision, by name without "public/".
func Artifacts(ctx context.Context, d Decision) (map[string][]byte, error) {
	in, r := d.In, d.Result
	yml, err := fs.ReadFile(in.Tree, configFile)
	if err != nil {
		yml = nil // a tree need not have one
	}
	actions, err := decision.Actions(ctx, decision.ActionsInput{
		Params: r.Parameters, Config: r.Config, Tree: in.Tree, TaskclusterYML: yml, DecisionTaskID: in.DecisionTaskID, RootURL: in.RootURL,
	})
	if err != nil {
		return nil, err
	}
	files, err := decision.Artifacts(decision.Input{
		Params: r.Parameters, Kinds: r.Kinds, Full: r.Full, Targets: r.TargetSet, Morphed: r.Morphed,
		LabelToTaskID: r.LabelToTaskID, Actions: actions, History: r.History, Log: r.Explain,
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(files, d.Published)
	rec := newRecord(d, yml)
	for _, name := range scriptNames() {
		if in.Scripts == nil {
			break
		}
		if content, err := fs.ReadFile(in.Scripts, name); err == nil {
			files[name], rec.Scripts[name] = content, digest(content)
		}
	}
	for name, content := range files {
		rec.Artifacts[name] = digest(content)
	}
	if files[RecordName], err = json.MarshalIndent(rec, "", "  "); err != nil {
		return nil, fmt.Errorf("replay: %s: %w", RecordName, err)
	}
	return files, nil
}

func newRecord(d Decision, yml []byte) *Record {
	in, r := d.In, d.Result
	rec := &Record{
		Version: recordVersion, Program: d.Program, Repository: r.Parameters.String("head_repository"), Revision: r.Parameters.String("head_rev"),
		Root: in.Root, TargetKinds: in.TargetKinds, DecisionTaskID: in.DecisionTaskID, IDSeed: in.IDSeed, RootURL: in.RootURL, ProxyURL: in.ProxyURL,
		Now: in.Now.UTC(), Strict: in.Strict, NoVerify: in.NoVerify, Trace: in.Trace, Lenient: !r.Parameters.Strict(),
		Index: r.Index, InputDigest: r.InputDigest, Inputs: map[string]string{}, Scripts: map[string]string{}, Artifacts: map[string]string{},
	}
	if rec.Index == nil {
		rec.Index = map[string]optimize.Found{}
	}
	for name, sum := range r.Digests {
		rec.Inputs[name] = hex.EncodeToString(sum[:])
	}
	if yml != nil {
		rec.Inputs[configFile] = digest(yml)
	}
	return rec
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Program names the running program: its version and the commit it was built from, as far as they are
// known.
func Program() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	name := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			name += " " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			name += " (modified)"
		}
	}
	return name
}
