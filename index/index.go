// Package index finds tasks by name: a path such as `demo.v2.main.latest.build` leads to the newest task of its kind.
//
// A path is words with dots between; all but the last are the namespace. An entry is replaced by one of the same or a
// higher rank (taskcluster-map 6). The queue writes the entries of a completed task in the very transaction that
// resolves it, so the index never lags behind it.
//
// Lock order: entries by path, then namespaces by path.
package index

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Limits of an entry.
const (
	MaxPath = 255      // characters
	MaxData = 32 << 10 // bytes of JSON
	maxYear = 9998     // of an expiry: namespaces live a day longer, and JSON knows no year 10000
)

// word is what the parts of a path consist of.
const word = `[a-zA-Z0-9_!~*'()%-]+`

var grammar = regexp.MustCompile(`^` + word + `(\.` + word + `)*$`)

// Entry is a task at its path. An expired one is as good as none.
type Entry struct {
	Namespace string          `json:"namespace"` // the whole path
	TaskID    string          `json:"taskId"`
	Rank      float64         `json:"rank"` // usually when the work began, such as a push's time
	Data      json.RawMessage `json:"data"` // an object that belongs to the users
	Expires   time.Time       `json:"expires"`
}

// Namespace is a namespace with something in it.
type Namespace struct {
	Namespace string    `json:"namespace"` // the whole path
	Name      string    `json:"name"`      // its last word
	Expires   time.Time `json:"expires"`
}

// Index is the index. It is safe for concurrent use.
type Index struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Option is a setting of New.
type Option func(*Index)

// WithLog makes the background work report its failures.
func WithLog(log *slog.Logger) Option { return func(ix *Index) { ix.log = log } }

// New returns the index kept in pool's database.
func New(pool *pgxpool.Pool, options ...Option) *Index {
	ix := &Index{pool: pool, log: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(ix)
	}
	return ix
}

// CheckPath returns a fault.Invalid for a path that breaks the grammar.
func CheckPath(path string) error {
	switch {
	case len(path) > MaxPath:
		return fault.New(fault.Invalid, "the index path %.60q… has %d characters, more than the %d allowed", path, len(path), MaxPath)
	case !grammar.MatchString(path):
		return fault.New(fault.Invalid, "%q is no index path: it must be words of letters, digits and _!~*'()%%- with dots between", path)
	}
	return nil
}

func (e Entry) check() error {
	if err := CheckPath(e.Namespace); err != nil {
		return err
	}
	var object map[string]json.RawMessage
	switch {
	case len(e.Data) > MaxData:
		return fault.New(fault.Invalid, "the data of %s has %d bytes, more than the %d allowed", e.Namespace, len(e.Data), MaxData)
	case json.Unmarshal(e.Data, &object) != nil || object == nil:
		return fault.New(fault.Invalid, "the data of %s must be a JSON object", e.Namespace)
	case !storable(e.Data):
		return fault.New(fault.Invalid, "the data of %s has a character or a number that cannot be kept: a zero, half of a surrogate pair, or an exponent of five digits", e.Namespace)
	case e.Expires.Year() > maxYear:
		return fault.New(fault.Invalid, "%s cannot expire after the year %d", e.Namespace, maxYear)
	case math.IsNaN(e.Rank) || math.IsInf(e.Rank, 0):
		return fault.New(fault.Invalid, "the rank of %s must be a number", e.Namespace)
	}
	return nil
}

// cut splits a path at its last dot.
func cut(path string) (namespace, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func join(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		writeSQL, writeNamespacesSQL, findManySQL, listTasksSQL, listNamespacesSQL, browseSQL, browseTasksSQL, historySQL, deleteSQL, pruneTasksSQL, pruneNamespacesSQL,
	}
}

func failed(what string, err error) error { return fmt.Errorf("index: %s: %w", what, pg.Classify(err)) }
