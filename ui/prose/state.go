// Package prose says in words how tasks stand and why, for the pages, and makes what strangers wrote fit to
// be shown: Markdown and definitions.
package prose

import (
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// StateText is the state of a task in words.
func StateText(s *task.Status) string {
	if r := s.LastRun(); r != nil {
		return RunText(*r, true)
	}
	return Word(string(s.State))
}

// RunText is the state of a run in words, with its reason where that says more.
func RunText(r task.Run, last bool) string {
	state := RunState(r, last)
	if state == "exception" && r.ReasonResolved != "" {
		return string(r.ReasonResolved)
	}
	return Word(state)
}

// Sentence says in one line how a task stands and why.
func Sentence(s *task.Status) string {
	r := s.LastRun()
	if r == nil {
		if s.State == task.Unscheduled {
			return "It waits for other tasks, or for somebody to schedule it."
		}
		return fmt.Sprintf("Its state is %s.", s.State)
	}
	return RunSentence(*r, true)
}

// RunSentence says why a run is as it is.
func RunSentence(r task.Run, last bool) string {
	switch r.State {
	case task.Pending:
		switch r.ReasonCreated {
		case task.CreatedRetry:
			return "The worker of the run before was lost; it waits for another worker."
		case task.CreatedTaskRetry:
			return "The run before asked to be tried again; it waits for a worker."
		case task.CreatedRerun:
			return "Somebody asked to run it again; it waits for a worker."
		}
		return "It waits for a worker."
	case task.Running:
		return "A worker is on it."
	case task.Completed:
		return "It ran and succeeded" + took(r) + "."
	case task.Failed:
		return "It ran and failed" + took(r) + "."
	case task.Exception:
		return exceptionSentence(r, last)
	}
	return fmt.Sprintf("Its state is %s.", r.State)
}

func exceptionSentence(r task.Run, last bool) string {
	again := ""
	if _, retry := r.ReasonResolved.Retry(); retry {
		again = " No retries were left."
		if !last {
			again = " It was tried again."
		}
	}
	switch r.ReasonResolved {
	case task.ReasonCanceled:
		return "Somebody cancelled it before it had ended."
	case task.ReasonDeadlineExceeded:
		return "Its deadline passed before it had ended."
	case task.ReasonClaimExpired:
		return "The worker vanished: it did not renew its claim." + again
	case task.ReasonWorkerShutdown:
		return "The worker had to stop while it ran." + again
	case task.ReasonIntermittentTask:
		return "The task said that its failure may pass by itself." + again
	case task.ReasonMalformedPayload:
		return "The worker does not understand the task's payload. The log says what is wrong with it."
	case task.ReasonResourceUnavailable:
		return "Something that the task asks for could not be had, such as an image or an artifact."
	case task.ReasonInternalError:
		return "The worker broke while it ran the task."
	case task.ReasonSuperseded:
		return "A newer task made it unnecessary."
	}
	return fmt.Sprintf("It ended with the reason %q.", r.ReasonResolved)
}

func took(r task.Run) string {
	if r.Started == nil || r.Resolved == nil {
		return ""
	}
	d := r.Resolved.Sub(r.Started.Time)
	if d < time.Second {
		return " in under a second"
	}
	return " after " + elapsed(d)
}

// words are the states of pages, in words; nobody changes them.
var words = map[string]string{
	"unscheduled": "waiting", "pending": "pending", "running": "running", "passed": "passed",
	"failed": "failed", "exception": "exception", "cancelled": "cancelled", "retried": "retried",
}

// Word is a state of the pages in words.
func Word(state string) string {
	if word, ok := words[state]; ok {
		return word
	}
	return state
}

// State is the state as pages tell it: a cancelled task is no fault of anybody.
func State(s task.State, reason task.ReasonResolved) string {
	switch {
	case s == task.Completed:
		return "passed"
	case s == task.Exception && reason == task.ReasonCanceled:
		return "cancelled"
	}
	return string(s)
}

// RunState is the state of one run: one that another has replaced was retried.
func RunState(r task.Run, last bool) string {
	if !last && r.State == task.Exception {
		if _, again := r.ReasonResolved.Retry(); again {
			return "retried"
		}
	}
	return State(r.State, r.ReasonResolved)
}

// elapsed writes a duration for people: "45s", "3m 05s", "1h 02m", "2d 03h".
func elapsed(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %02dh", s/86400, s/3600%24)
}
