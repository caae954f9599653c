package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// Source is where a decision is replayed from.
type Source struct {
	// Read gives an artifact by its name without "public/"; fs.ErrNotExist if there is none.
	Read func(ctx context.Context, name string) ([]byte, error)
	// Tree gives the repository at a revision, and why it is not the one asked for, "" if it is.
	Tree func(ctx context.Context, repository, revision string) (tree fs.FS, doubt string, err error)
	// Scripts are those of the program at hand, Program is its name.
	Scripts fs.FS
	Program string
}

// Outcome is what a replay found.
type Outcome struct {
	TaskID      string       `json:"taskId"`
	Revision    string       `json:"revision"`
	Compared    int          `json:"compared"` // artifacts
	Equal       bool         `json:"equal"`
	Differences []Difference `json:"differences"` // by name; empty when equal
	Causes      []string     `json:"causes"`      // what is likely to have led to them
}

// Difference is where an artifact that was made again is not the same.
type Difference struct {
	Artifact string `json:"artifact"`
	// Line is the first line that differs, from 1 on; 0 when one of the two is not there at all.
	Line int `json:"line,omitempty"`
	// Was is that line of the artifact, Is of the one made again; both cut short.
	Was string `json:"was"`
	Is  string `json:"is"`
}

// ReadRecord reads the record of a decision.
func ReadRecord(ctx context.Context, s Source) (*Record, error) {
	content, err := s.Read(ctx, RecordName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replay: there is no %s: the decision failed before its graph was made, or an earlier version of the program made it: %w", RecordName, err)
	}
	if err != nil {
		return nil, fmt.Errorf("replay: %s: %w", RecordName, err)
	}
	rec := &Record{}
	if err := json.Unmarshal(content, rec); err != nil {
		return nil, fmt.Errorf("replay: %s: %w", RecordName, err)
	}
	if rec.Version != recordVersion {
		return nil, fmt.Errorf("replay: %s has version %d; known is %d", RecordName, rec.Version, recordVersion)
	}
	return rec, nil
}

// Run replays a decision. An error says that it could not be run at all: an Outcome that is not equal
// is none.
func Run(ctx context.Context, s Source) (*Outcome, error) {
	rec, err := ReadRecord(ctx, s)
	if err != nil {
		return nil, err
	}
	out := &Outcome{TaskID: rec.DecisionTaskID, Revision: rec.Revision, Differences: []Difference{}, Causes: []string{}}
	tree, doubt, err := s.Tree(ctx, rec.Repository, rec.Revision)
	if err != nil {
		return nil, fmt.Errorf("replay: the tree of %s at %s is not at hand: %w", rec.Repository, rec.Revision, err)
	}
	again, res, err := rec.again(ctx, s, tree)
	if err != nil {
		out.Causes = rec.causes(s, tree, doubt, nil, nil)
		return out, errors.Join(fmt.Errorf("replay: the decision cannot be made again%s", because(out.Causes)), err)
	}
	changed, err := rec.compare(ctx, s, again, out)
	if err != nil {
		return nil, err
	}
	out.Equal = len(out.Differences) == 0
	if !out.Equal {
		out.Causes = rec.causes(s, tree, doubt, changed, res)
	}
	return out, nil
}

func because(causes []string) string {
	if len(causes) == 0 {
		return ""
	}
	return " (" + strings.Join(causes, "; ") + ")"
}

// again makes the artifacts once more.
func (rec *Record) again(ctx context.Context, s Source, tree fs.FS) (map[string][]byte, *taskgraph.Result, error) {
	content, err := s.Read(ctx, "parameters.yml")
	if err != nil {
		return nil, nil, fmt.Errorf("replay: parameters.yml: %w", err)
	}
	hooks, err := taskgraph.ReadHooks(ctx, tree, rec.Root, nil)
	if err != nil {
		return nil, nil, err
	}
	p, err := params.LoadWith("parameters.yml", content, params.Options{Strict: !rec.Lenient, Own: hooks.Own()})
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	published := map[string][]byte{}
	in := taskgraph.Input{
		Tree: tree, Root: rec.Root, Parameters: p, TargetKinds: rec.TargetKinds, DecisionTaskID: rec.DecisionTaskID, IDSeed: rec.IDSeed,
		RootURL: rec.RootURL, ProxyURL: rec.ProxyURL, Now: rec.Now, Strict: rec.Strict, NoVerify: rec.NoVerify, Trace: rec.Trace, Scripts: s.Scripts,
		Index:   func(context.Context, []string) (map[string]optimize.Found, error) { return rec.Index, nil },
		History: func() (*history.Table, error) { return recordedHistory(ctx, s) },
		Publish: func(name string, content func() ([]byte, error)) error {
			b, err := content()
			mu.Lock()
			defer mu.Unlock()
			published[name] = b
			return err
		},
	}
	res, err := taskgraph.Generate(ctx, in, taskgraph.Morphed)
	if err != nil {
		return nil, nil, err
	}
	files, err := Artifacts(ctx, Decision{In: in, Result: res, Published: published, Program: s.Program})
	return files, res, err
}

// recordedHistory is what the decision knew of earlier pushes; nil when it did not look.
func recordedHistory(ctx context.Context, s Source) (*history.Table, error) {
	content, err := s.Read(ctx, history.ArtifactName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replay: %s: %w", history.ArtifactName, err)
	}
	return history.Read(bytes.NewReader(content))
}

// compare fills out with what differs, and returns the artifacts that are not what the decision
// recorded.
func (rec *Record) compare(ctx context.Context, s Source, again map[string][]byte, out *Outcome) (changed []string, err error) {
	names := slices.Concat(slices.Collect(maps.Keys(rec.Artifacts)), slices.Collect(maps.Keys(again)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name == RecordName {
			continue // it is what is held against
		}
		out.Compared++
		made, there := again[name]
		recorded, was := rec.Artifacts[name]
		content, err := s.Read(ctx, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if was && there && recorded == digest(made) {
				continue // it is not kept as an artifact, such as the context of an image, or it expired
			}
			content = nil
		case err != nil:
			return nil, fmt.Errorf("replay: %s: %w", name, err)
		}
		if content != nil && was && digest(content) != recorded {
			changed = append(changed, name)
		}
		switch {
		case !there:
			out.Differences = append(out.Differences, Difference{Artifact: name, Is: "not made"})
		case content == nil && !was:
			out.Differences = append(out.Differences, Difference{Artifact: name, Was: "not made"})
		case content == nil:
			out.Differences = append(out.Differences, Difference{Artifact: name, Was: "sha256 " + recorded, Is: "sha256 " + digest(made)})
		case !bytes.Equal(content, made):
			out.Differences = append(out.Differences, firstDifference(name, content, made))
		}
	}
	return changed, nil
}

// firstDifference finds the first line that differs.
func firstDifference(name string, was, is []byte) Difference {
	line := 1
	for {
		a, restA, moreA := bytes.Cut(was, []byte("\n"))
		b, restB, moreB := bytes.Cut(is, []byte("\n"))
		if !bytes.Equal(a, b) || moreA != moreB {
			from := 0 // show the part of a long line that differs
			for from < len(a) && from < len(b) && a[from] == b[from] {
				from++
			}
			from = max(from-30, 0)
			return Difference{Artifact: name, Line: line, Was: excerpt(a, from), Is: excerpt(b, from)}
		}
		was, is = restA, restB
		line++
	}
}

func excerpt(line []byte, from int) string {
	const most = 160
	part := line[min(from, len(line)):]
	text := string(part[:min(len(part), most)])
	if from > 0 {
		text = "…" + text
	}
	if len(part) > most {
		text += "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// maxNamed is how many files a cause names.
const maxNamed = 5

// causes says what is likely to be behind differences, the most likely first. res is nil when nothing
// could be made.
func (rec *Record) causes(s Source, tree fs.FS, doubt string, changed []string, res *taskgraph.Result) []string {
	out := []string{}
	if len(changed) > 0 {
		out = append(out, "changed after the decision: the sha256 is not the recorded one of "+named(changed))
	}
	if rec.Program != s.Program {
		out = append(out, fmt.Sprintf("another version of the program: the decision was made by %s, this is %s", rec.Program, s.Program))
	}
	if doubt != "" {
		out = append(out, doubt)
	}
	if files := rec.otherFiles(tree); len(files) > 0 {
		out = append(out, "other files in the tree: "+named(files))
	}
	for _, name := range slices.Sorted(maps.Keys(rec.Scripts)) {
		content, err := fs.ReadFile(s.Scripts, name)
		if err != nil || digest(content) != rec.Scripts[name] {
			out = append(out, "another script "+name+" in the program")
		}
	}
	if len(out) == 0 && res != nil && res.InputDigest == rec.InputDigest {
		out = append(out, "none is known: all inputs are the same, so this is a fault in Treeline, please report it")
	}
	return out
}

// otherFiles are the files that the decision read and that are not the same in tree.
func (rec *Record) otherFiles(tree fs.FS) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(rec.Inputs)) {
		content, err := fs.ReadFile(tree, name)
		if err != nil || digest(content) != rec.Inputs[name] {
			out = append(out, name)
		}
	}
	return out
}

func named(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

// WriteText writes the outcome for people.
func (o *Outcome) WriteText(w io.Writer) error {
	var b strings.Builder
	if o.Equal {
		fmt.Fprintf(&b, "equal: the decision %s at %s gives the same %d artifacts again, byte by byte\n", o.TaskID, o.Revision, o.Compared)
	} else {
		fmt.Fprintf(&b, "not equal: %d of %d artifacts of the decision %s at %s differ\n", len(o.Differences), o.Compared, o.TaskID, o.Revision)
	}
	for _, d := range o.Differences {
		if d.Line > 0 {
			fmt.Fprintf(&b, "  %s, line %d\n", d.Artifact, d.Line)
		} else {
			fmt.Fprintf(&b, "  %s\n", d.Artifact)
		}
		fmt.Fprintf(&b, "    was: %s\n    is:  %s\n", d.Was, d.Is)
	}
	for _, c := range o.Causes {
		fmt.Fprintf(&b, "likely cause: %s\n", c)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
