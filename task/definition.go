package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Limits of a definition (taskcluster-map 5.2 and 5.3).
const (
	MaxRetries      = 49
	MaxDependencies = 10000
	MaxRoutes       = 64
	MaxDeadline     = 5 * 24 * time.Hour
	ClockTolerance  = 15 * time.Minute
)

// Definition is what a task is to do; it never changes after the task is created, its priority
// apart. Payload, Extra and Tags belong to the user.
type Definition struct {
	ProvisionerID string            `json:"provisionerId"`
	WorkerType    string            `json:"workerType"`
	TaskQueueID   string            `json:"taskQueueId"` // provisionerId/workerType
	SchedulerID   string            `json:"schedulerId"`
	ProjectID     string            `json:"projectId"`
	TaskGroupID   string            `json:"taskGroupId"`
	Dependencies  []string          `json:"dependencies"`
	Requires      Requires          `json:"requires"`
	Routes        []string          `json:"routes"`
	Priority      Priority          `json:"priority"`
	Retries       int               `json:"retries"`
	Created       Time              `json:"created"`
	Deadline      Time              `json:"deadline"`
	Expires       Time              `json:"expires"`
	Scopes        []string          `json:"scopes"`
	Payload       json.RawMessage   `json:"payload"`
	Metadata      Metadata          `json:"metadata"`
	Tags          map[string]string `json:"tags"`
	Extra         json.RawMessage   `json:"extra"`
}

// Metadata is for people.
type Metadata struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Owner       string `json:"owner"`
	Source      string `json:"source"`
}

// UnmarshalJSON reads a definition and fills the defaults that depend on nothing else; Complete
// fills the others. Unknown keys are errors.
func (d *Definition) UnmarshalJSON(data []byte) error {
	return jsonv2.Unmarshal(data, d, jsonv1.DefaultOptionsV1())
}

// UnmarshalJSONFrom is UnmarshalJSON without another pass over the text, for who reads with jsontext.
func (d *Definition) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain Definition // without these methods
	p := plain{
		SchedulerID: "-", ProjectID: "none", Requires: AllCompleted, Priority: Lowest, Retries: 5,
		Dependencies: []string{}, Routes: []string{}, Scopes: []string{},
		Tags: map[string]string{}, Extra: json.RawMessage("{}"),
	}
	if err := jsonv2.UnmarshalDecode(dec, &p, jsonv2.RejectUnknownMembers(true)); err != nil {
		return err
	}
	*d = Definition(p)
	return nil
}

// Complete fills what follows from other fields: both forms of the task queue's name, the group
// (the task itself when none is given) and the expiry (a year after the deadline). It returns an
// error when the two forms of the queue's name disagree or neither is given.
func (d *Definition) Complete(taskID string) error {
	if d.TaskQueueID == "" {
		if d.ProvisionerID == "" || d.WorkerType == "" {
			return errors.New("give taskQueueId, or both provisionerId and workerType")
		}
		d.TaskQueueID = d.ProvisionerID + "/" + d.WorkerType
	}
	provisioner, worker, ok := strings.Cut(d.TaskQueueID, "/")
	if !ok || strings.Contains(worker, "/") {
		return fmt.Errorf("taskQueueId %q must be of the form provisionerId/workerType", d.TaskQueueID)
	}
	if d.ProvisionerID != "" && d.ProvisionerID != provisioner || d.WorkerType != "" && d.WorkerType != worker {
		return fmt.Errorf("taskQueueId %q contradicts provisionerId %q and workerType %q", d.TaskQueueID, d.ProvisionerID, d.WorkerType)
	}
	d.ProvisionerID, d.WorkerType = provisioner, worker
	if d.TaskGroupID == "" {
		d.TaskGroupID = taskID
	}
	if d.Expires.IsZero() {
		d.Expires = Time{d.Deadline.AddDate(1, 0, 0)}
	}
	return nil
}

// CheckTimes returns an error when created, deadline and expires do not fit each other or now
// (taskcluster-map 5.3).
func (d *Definition) CheckTimes(now time.Time) error {
	switch {
	case d.Created.Before(now.Add(-ClockTolerance)):
		return fmt.Errorf("created %s lies more than %v in the past", d.Created, ClockTolerance)
	case d.Created.After(now.Add(ClockTolerance)):
		return fmt.Errorf("created %s lies more than %v in the future", d.Created, ClockTolerance)
	case d.Created.After(d.Deadline.Time):
		return fmt.Errorf("deadline %s lies before created %s", d.Deadline, d.Created)
	case d.Deadline.Before(now):
		return fmt.Errorf("deadline %s lies in the past", d.Deadline)
	case d.Deadline.After(now.Add(MaxDeadline + ClockTolerance)):
		return fmt.Errorf("deadline %s lies more than %d days ahead", d.Deadline, int(MaxDeadline/(24*time.Hour)))
	case d.Expires.Before(d.Deadline.Time):
		return fmt.Errorf("expires %s lies before deadline %s", d.Expires, d.Deadline)
	}
	return nil
}

// CheckScopes returns an error for a scope that no task may hold: one ending in "**".
func (d *Definition) CheckScopes() error {
	for _, s := range d.Scopes {
		if strings.HasSuffix(s, "**") {
			return fmt.Errorf("scope %q ends in \"**\": write a single star", s)
		}
	}
	return nil
}

// Equal reports whether two completed definitions mean the same task. User JSON is compared by
// value, not by its bytes: the database may have written it anew.
func (d *Definition) Equal(o *Definition) bool {
	a, b := *d, *o
	return a.ProvisionerID == b.ProvisionerID && a.WorkerType == b.WorkerType &&
		a.SchedulerID == b.SchedulerID && a.ProjectID == b.ProjectID && a.TaskGroupID == b.TaskGroupID &&
		slices.Equal(a.Dependencies, b.Dependencies) && a.Requires == b.Requires &&
		slices.Equal(a.Routes, b.Routes) && a.Priority == b.Priority && a.Retries == b.Retries &&
		a.Created.Equal(b.Created.Time) && a.Deadline.Equal(b.Deadline.Time) && a.Expires.Equal(b.Expires.Time) &&
		slices.Equal(a.Scopes, b.Scopes) && a.Metadata == b.Metadata && maps.Equal(a.Tags, b.Tags) &&
		SameJSON(a.Payload, b.Payload) && SameJSON(a.Extra, b.Extra)
}
