// Package payload reads what a task wants done. It knows two dialects: generic-worker's native
// form and docker-worker's (taskcluster-map 16.2 and 16.5), and turns both into one Payload.
// What violates a dialect's schema, or cannot be honoured, is an *Error that lists every problem.
package payload

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// Names of the logs unless the payload chooses others.
const (
	LiveLog    = "public/logs/live.log"
	BackingLog = "public/logs/live_backing.log"
)

// Payload is what a task wants done, whatever its dialect.
type Payload struct {
	Commands    [][]string // run in order until one fails
	Env         map[string]string
	MaxRunTime  time.Duration
	Artifacts   []Artifact
	Mounts      []Mount
	RetryOn     []int // exit statuses that mean intermittent-task
	PurgeOn     []int // exit statuses that drop the task's caches
	Proxy       bool  // the task wants a task proxy
	Live        bool  // the log is to be followed while the task runs
	Backing     bool  // the log is to be kept
	LiveName    string
	BackingName string
	Image       string // what a container engine would run it in; "" when none was named
	Container   *Container
	Interactive bool // shells are wanted
	Trust       bool // the artifacts are to be certified
	Monitor     bool // what the task uses is to be written down
	Sandbox     Sandbox
	Notes       []string // what was asked for and is not done, for the log
}

// Container is what a payload of docker-worker's dialect asks of a container; nil in the other dialect.
type Container struct {
	Image  json.RawMessage   // as it was written
	Ref    Image             // the same, read
	Caches map[string]string // name of the cache → place in the container
}

// Image says which image a task runs in. Either Name is set, or Artifact and one of TaskID and Namespace.
type Image struct {
	Name      string // as docker pull takes it
	TaskID    string
	Namespace string // of the index
	Artifact  string
}

// Artifact is something a task promises to leave behind.
type Artifact struct {
	Name        string // of a directory: what its files' names begin with
	Path        string // relative to the task's directory; absolute in the docker dialect
	Directory   bool
	Expires     *task.Time // nil: with the task
	ContentType string     // "": by the name
	Optional    bool
}

// Mount puts something into the task's directory before the commands run. Exactly one of File and
// Directory is set.
type Mount struct {
	File      string
	Directory string
	CacheName string // a directory that is kept between tasks
	Scope     string // that the cache needs; "" is the one of generic-worker's caches
	Content   *Content
	Format    string // of an archive, or of a compressed file
}

// Content is where a mount's bytes come from.
type Content struct {
	TaskID    string  `json:"taskId"`
	Namespace string  `json:"namespace"`
	Artifact  string  `json:"artifact"`
	URL       string  `json:"url"`
	SHA256    string  `json:"sha256"`
	Raw       *string `json:"raw"`
	Base64    *string `json:"base64"`
}

// Error says what is wrong with a payload. The run is resolved as malformed-payload.
type Error struct {
	Problems []string // each with the place in the payload
}

// Error lists the problems, one a line.
func (e *Error) Error() string {
	return "the payload cannot be run:\n  - " + strings.Join(e.Problems, "\n  - ")
}

// Options say what this worker does.
type Options struct {
	AcceptImages  bool          // run payloads that name an image, without it
	Containers    bool          // there is a container engine: images and caches are given as they are asked for
	MaxRunTime    time.Duration // longest allowed; 0: a day
	ForbidMounts  bool
	ForbidProxies bool
}

// Parse reads a payload.
func (p *Parser) Parse(raw json.RawMessage, o Options) (*Payload, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, &Error{[]string{"(payload): is no JSON object"}}
	}
	read := p.generic
	if isDocker(keys) {
		read = p.docker
	}
	out, problems := read(raw, o)
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	if limit := o.MaxRunTime; limit > 0 && out.MaxRunTime > limit {
		problems = append(problems, "/maxRunTime: is longer than the "+limit.String()+" that this worker allows")
	}
	if o.ForbidMounts && len(out.Mounts) > 0 {
		problems = append(problems, "/mounts: this worker has mounts switched off")
	}
	if o.ForbidProxies && out.Proxy {
		problems = append(problems, "/features/taskclusterProxy: this worker has the task proxy switched off")
	}
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	return out, nil
}

// isDocker tells the dialects apart: an image, caches by path, a log's name, and artifacts as a
// map are docker-worker's.
func isDocker(keys map[string]json.RawMessage) bool {
	for _, key := range []string{"image", "cache", "log", "capabilities"} {
		if _, ok := keys[key]; ok {
			return true
		}
	}
	return strings.HasPrefix(strings.TrimSpace(string(keys["artifacts"])), "{")
}

type onExitStatus struct {
	Retry       []int `json:"retry"`
	PurgeCaches []int `json:"purgeCaches"`
}
