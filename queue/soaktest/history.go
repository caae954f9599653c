package soaktest

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// Verb is what a call asked for.
type Verb string

// The verbs. Those that begin with "time:" are no calls: they let claims, deadlines or tasks run out.
const (
	Create           Verb = "create"
	Claim            Verb = "claim"
	Reclaim          Verb = "reclaim"
	Report           Verb = "report"
	Schedule         Verb = "schedule"
	Rerun            Verb = "rerun"
	Cancel           Verb = "cancel"
	CancelGroup      Verb = "cancelGroup"
	ClaimTask        Verb = "claimTask"
	Priority         Verb = "priority"
	GroupPriority    Verb = "groupPriority"
	Weight           Verb = "weight"
	WorkerGone       Verb = "workerGone"
	SealGroup        Verb = "sealGroup"
	Artifact         Verb = "artifact"
	Status           Verb = "status"
	Items            Verb = "items"
	List             Verb = "list"
	ExpireClaims     Verb = "expireClaims"
	EnforceDeadlines Verb = "enforceDeadlines"
	RemoveExpired    Verb = "removeExpired"
	ClaimsEnd        Verb = "time: claims end"
	DeadlinesPass    Verb = "time: deadlines pass"
	TasksExpire      Verb = "time: tasks expire"
)

// Outcome is what the caller knows afterwards.
type Outcome string

// The outcomes. After Unknown the call may have happened, or happen yet; after Broken too, but it ended
// with an error that no caller should ever see.
const (
	OK        Outcome = "ok"
	Conflict  Outcome = "refused: conflict"
	NotFound  Outcome = "refused: not found"
	Invalid   Outcome = "refused: invalid"
	Forbidden Outcome = "refused: forbidden"
	Refused   Outcome = "refused: other"
	Unknown   Outcome = "unknown"
	Broken    Outcome = "broken"
)

// Call is a call with its arguments, its outcome and what its answer showed.
type Call struct {
	Client  int                 `json:"client"` // -1 is the drain
	Verb    Verb                `json:"verb"`
	Tasks   []string            `json:"tasks,omitempty"`
	Bodies  []int               `json:"bodies,omitempty"` // of a create: which of the task's definitions
	Run     int                 `json:"run,omitempty"`
	Reason  task.ReasonResolved `json:"reason,omitempty"` // of a report
	Name    string              `json:"name,omitempty"`   // of an artifact or a group, or a priority
	Worker  string              `json:"worker,omitempty"` // of a claim
	Start   int64               `json:"start"`            // nanoseconds since the round began
	End     int64               `json:"end"`
	Outcome Outcome             `json:"outcome"`
	Error   string              `json:"error,omitempty"`
	Seen    []task.Status       `json:"seen,omitempty"`
	Claimed []Claimed           `json:"claimed,omitempty"`
}

// Claimed is a run that a claim gave to its caller.
type Claimed struct {
	Task   string    `json:"task"`
	Run    int       `json:"run"`
	Until  task.Time `json:"until"`
	Scopes []string  `json:"scopes"` // of its credentials
}

// judge says what an error leaves the caller with.
func judge(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unknown
	}
	switch fault.KindOf(err) {
	case fault.Conflict:
		return Conflict
	case fault.NotFound, fault.Gone:
		return NotFound
	case fault.Invalid, fault.BadInput:
		return Invalid
	case fault.Forbidden:
		return Forbidden
	case fault.Unavailable:
		return Unknown
	case fault.Internal:
		if brokenOff(err) {
			return Unknown
		}
		return Broken
	}
	return Refused
}

// brokenOff reports an error of the way to the database that carries no meaning of its own.
func brokenOff(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "57") || strings.HasPrefix(e.Code, "08")
	}
	return pgconn.Timeout(err)
}
