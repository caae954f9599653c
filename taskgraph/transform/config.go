// Package transform runs the transforms of a kind: the steps that turn the entries of its files
// into tasks (taskgraph-map 4). The built-in transforms are its sub-packages; package builtin
// gathers them under their well-known names.
//
// A transform is a row of steps. An Each step works on one item alone, and rows of them run on
// several items at once; an All step sees every item of the kind. Whatever the number of
// processors, items keep the order in which they were made.
package transform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Config is what transforms know beside their items. It is shared by all items and steps of a
// kind and must not be written to.
type Config struct {
	// Kind is the kind's name, Dir its directory in the tree, such as "taskcluster/kinds/build".
	Kind, Dir string
	// KindConfig is the parsed kind.yml; KindDependencies the kinds it names in
	// kind-dependencies, in order.
	KindConfig       map[string]any
	KindDependencies []string
	Dependencies     *Dependencies
	// Drop takes what becomes of no task; nil when nobody wants it. It may be called from several
	// goroutines at once.
	Drop func(explain.Drop)
	*Shared
}

// Shared is what the kinds of one generation share. Its methods are safe for concurrent use.
type Shared struct {
	Graph  *config.GraphConfig
	Params *params.Parameters
	// Names are the parameters for format strings.
	Names value.NameMap
	// Tree is the repository.
	Tree fs.FS
	// Scripts are the files run-task and fetch-content and what belongs to them.
	Scripts fs.FS
	// DecisionTaskID and RootURL are empty in local runs.
	DecisionTaskID, RootURL string
	// Strict makes errors of what is otherwise a warning.
	Strict bool
	// Fast leaves out what takes the content of files: digests of cached tasks and contexts of images.
	Fast bool
	// Trace makes the history of items hold values, not only the keys that changed.
	Trace bool
	// Warn takes warnings; it may be called from several goroutines at once.
	Warn func(*graph.Error)
	// Conditions are the names that "if" conditions may use.
	Conditions *cond.Scope
	// Publish takes files that the decision shall publish, such as the contexts of docker images;
	// nil when nobody wants them. It may be called from several goroutines at once.
	Publish func(name string, content func() ([]byte, error)) error
	// Work, if set, does a piece of work by calling it; several goroutines call it at once.
	Work func(piece func())

	memo   sync.Map // memoKey → *memoCell
	shares shares

	made    atomic.Int64 // items that transforms split off
	pairsMu sync.RWMutex
	pairs   map[pairKey]map[string]any
}

type memoKey struct {
	owner any
	key   string
}

type memoCell struct {
	once  sync.Once
	value any
	err   error
}

// Memo returns what make returned for this owner and key the first time it was asked. The owner
// is a comparable value of a type private to the caller's package.
func (s *Shared) Memo(owner any, key string, produce func() (any, error)) (any, error) {
	v, ok := s.memo.Load(memoKey{owner, key})
	if !ok {
		v, _ = s.memo.LoadOrStore(memoKey{owner, key}, &memoCell{})
	}
	cell := v.(*memoCell)
	cell.once.Do(func() { cell.value, cell.err = produce() })
	return cell.value, cell.err
}

// Script is the content of one of Scripts; without it the error is fs.ErrNotExist.
func (s *Shared) Script(name string) ([]byte, error) {
	if s.Scripts == nil {
		return nil, fs.ErrNotExist
	}
	return fs.ReadFile(s.Scripts, name)
}

type scriptOwner struct{}

// ScriptHash is the sha256 of one of Scripts in hex; a script that is not there counts as empty.
func (s *Shared) ScriptHash(name string) (string, error) {
	v, err := s.Memo(scriptOwner{}, name, func() (any, error) {
		b, err := s.Script(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:]), err
	})
	if err != nil {
		return "", err
	}
	return v.(string), nil
}

// MaxMade is how many items all transforms of a generation may split off together.
const MaxMade = 1_000_000

// Reserve counts n items that the item is about to be split into, before they are made. The
// error says that the generation would have too many.
func (s *Shared) Reserve(it *Item, n int) error {
	if s.made.Add(int64(n)) > MaxMade {
		return it.Errorf("", "would be split into %d tasks, and with that transforms would have made more than %d in all", n, MaxMade)
	}
	return nil
}

// Level is the trust level, "1" to "3".
func (s *Shared) Level() string { return s.Params.String("level") }

// Dependencies are the finished tasks of the kinds that a kind depends on.
type Dependencies struct {
	tasks   []*graph.Task
	byLabel map[string]*graph.Task
}

// NewDependencies puts tasks together: kinds as given, the tasks of a kind as tasksOf has them.
func NewDependencies(kinds []string, tasksOf func(kind string) []*graph.Task) *Dependencies {
	d := &Dependencies{byLabel: map[string]*graph.Task{}}
	for i, kind := range kinds {
		if slices.Contains(kinds[:i], kind) {
			continue
		}
		for _, t := range tasksOf(kind) {
			d.tasks = append(d.tasks, t)
			d.byLabel[t.Label] = t
		}
	}
	return d
}

// All returns the tasks in order. The caller must not change the slice.
func (d *Dependencies) All() []*graph.Task { return d.tasks }

// Task returns the task of that label, nil without one.
func (d *Dependencies) Task(label string) *graph.Task { return d.byLabel[label] }
