package treeherder

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// job is a run of a task as Treeherder's schema of jobs has it, version 1.
type job struct {
	TaskID      string  `json:"taskId"` // the task's id as a UUID, a slash, the run's number
	RetryID     int     `json:"retryId"`
	IsRetried   bool    `json:"isRetried"`
	BuildSystem string  `json:"buildSystem"`
	Origin      origin  `json:"origin"`
	Display     display `json:"display"`
	State       string  `json:"state"`
	Result      string  `json:"result"`
	JobKind     string  `json:"jobKind"`
	Tier        int     `json:"tier"`

	TimeScheduled task.Time  `json:"timeScheduled"`
	TimeStarted   *task.Time `json:"timeStarted,omitempty"`
	TimeCompleted *task.Time `json:"timeCompleted,omitempty"`

	Labels       []string `json:"labels"`
	Owner        string   `json:"owner"`
	Reason       string   `json:"reason"`
	ProductName  string   `json:"productName,omitempty"`
	BuildMachine machine  `json:"buildMachine"`
	JobInfo      jobInfo  `json:"jobInfo"`
	Logs         []log    `json:"logs"`
	Version      int      `json:"version"`
}

type display struct {
	JobSymbol   string `json:"jobSymbol"`
	GroupSymbol string `json:"groupSymbol"`
	JobName     string `json:"jobName"`
	GroupName   string `json:"groupName,omitempty"`
}

type machine struct {
	Name         string `json:"name"`
	Platform     string `json:"platform"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

type jobInfo struct {
	Summary string `json:"summary"`
	Links   []any  `json:"links"`
}

type log struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// logName is the name that makes Treeherder read the log.
const logName = "builds-4h"

// said is task.extra.treeherder (vcs-integration 3.2).
type said struct {
	Symbol      any             `json:"symbol"`
	GroupSymbol string          `json:"groupSymbol"`
	GroupName   string          `json:"groupName"`
	Tier        int             `json:"tier"`
	JobKind     string          `json:"jobKind"`
	Machine     machine         `json:"machine"`
	Labels      []string        `json:"labels"`
	Collection  map[string]bool `json:"collection"`
	Reason      string          `json:"reason"`
	ProductName string          `json:"productName"`
}

// metadata reads task.extra.treeherder; ok is false for a task without. What Treeherder would refuse is
// an error.
func metadata(d task.Definition) (s said, ok bool, err error) {
	var extra struct {
		Treeherder json.RawMessage `json:"treeherder"`
	}
	if err := json.Unmarshal(d.Extra, &extra); err != nil || len(extra.Treeherder) == 0 || string(extra.Treeherder) == "null" {
		return said{}, false, nil
	}
	if err := json.Unmarshal(extra.Treeherder, &s); err != nil {
		return said{}, false, fault.Wrap(fault.Invalid, err, "extra.treeherder is not of the form that Treeherder reads")
	}
	switch symbol := s.Symbol.(type) {
	case nil:
		return said{}, false, fault.New(fault.Invalid, "extra.treeherder has no symbol")
	case string, float64:
		s.Symbol = fmt.Sprint(symbol)
	default:
		return said{}, false, fault.New(fault.Invalid, "extra.treeherder.symbol is no text")
	}
	if s.Tier < 0 || s.Tier > 3 || s.JobKind != "" && !slices.Contains([]string{"build", "test", "other"}, s.JobKind) {
		return said{}, false, fault.New(fault.Invalid, "extra.treeherder: tier is 1, 2 or 3, jobKind build, test or other")
	}
	return s, true, nil
}

// jobOf makes the message about a run. It is ok to call it for a task that Treeherder does not show: there
// is none then. An error says why Treeherder would refuse it.
func jobOf(rootURL string, d task.Definition, status task.Status, runID int) (*job, error) {
	where, ok := originOf(d.Routes)
	if !ok || runID < 0 || runID >= len(status.Runs) {
		return nil, nil
	}
	s, ok, err := metadata(d)
	if !ok || err != nil {
		return nil, err
	}
	run := status.Runs[runID]
	if run.ReasonCreated == task.CreatedException { // it never was to run: the deadline had passed
		return nil, nil
	}
	guid, err := uuid(status.TaskID)
	if err != nil {
		return nil, err
	}
	j := &job{
		TaskID: fmt.Sprintf("%s/%d", guid, runID), RetryID: runID, BuildSystem: "taskcluster", Origin: where,
		Display: display{JobSymbol: cut(s.Symbol.(string), 25), GroupSymbol: cut(or(s.GroupSymbol, "?"), 25), JobName: cut(or(d.Metadata.Name, status.TaskID), 100), GroupName: cut(s.GroupName, 100)},
		State:   stateOf(run), Result: resultOf(run), JobKind: or(s.JobKind, "other"), Tier: max(s.Tier, 1),
		TimeScheduled: d.Created, TimeStarted: run.Started, TimeCompleted: run.Resolved,
		Labels: labels(s), Owner: cut(or(d.Metadata.Owner, "unknown"), 49), Reason: cut(or(s.Reason, "scheduled"), 125), ProductName: cut(s.ProductName, 125),
		BuildMachine: machine{
			Name: plain(or(run.WorkerID, "unknown"), 50), Platform: plain(or(s.Machine.Platform, d.WorkerType), 100),
			OS: plain(or(s.Machine.OS, "-"), 25), Architecture: plain(or(s.Machine.Architecture, "-"), 25),
		},
		JobInfo: jobInfo{Summary: d.Metadata.Description, Links: []any{}}, Logs: []log{}, Version: 1,
	}
	if run.State == task.Completed || run.State == task.Failed {
		address := fmt.Sprintf("%s/api/queue/v1/task/%s/runs/%d/artifacts/public/logs/live_backing.log", rootURL, url.PathEscape(status.TaskID), runID)
		if len(address) <= 255 {
			j.Logs = []log{{Name: logName, URL: address}}
		}
	}
	if runID+1 < len(status.Runs) {
		next := status.Runs[runID+1].ReasonCreated
		j.IsRetried = next == task.CreatedRetry || next == task.CreatedTaskRetry
	}
	return j, nil
}

func stateOf(r task.Run) string {
	switch r.State {
	case task.Pending:
		return "pending"
	case task.Running:
		return "running"
	}
	return "completed"
}

func resultOf(r task.Run) string {
	switch r.State {
	case task.Completed:
		return "success"
	case task.Failed:
		return "fail"
	case task.Exception:
		if r.ReasonResolved == task.ReasonCanceled || r.ReasonResolved == "superseded" {
			return string(r.ReasonResolved)
		}
		return "exception"
	}
	return "unknown"
}

// labels are the dimensions besides the platform; collection is what they were called before.
func labels(s said) []string {
	var out []string
	for _, l := range s.Labels {
		out = append(out, plain(l, 50))
	}
	if len(out) > 0 {
		return out
	}
	for l := range s.Collection {
		out = append(out, plain(l, 50))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return []string{"opt"}
	}
	return out
}

// uuid writes a slugid as the UUID that it is.
func uuid(slugid string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(slugid)
	if err != nil || len(b) != 16 {
		return "", fault.New(fault.Invalid, "%q is no slugid", slugid)
	}
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"), nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

var others = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// plain is cut for what may have letters, digits, _ and - only.
func plain(s string, n int) string { return cut(others.ReplaceAllString(or(s, "-"), "-"), n) }
