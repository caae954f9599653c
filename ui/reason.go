package ui

import (
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// stateText is the state of a task in words.
func stateText(s *task.Status) string {
	if r := s.LastRun(); r != nil {
		return runText(*r, true)
	}
	return words[string(s.State)]
}

// runText is the state of a run in words, with its reason where that says more.
func runText(r task.Run, last bool) string {
	state := runState(r, last)
	if state == "exception" && r.ReasonResolved != "" {
		return string(r.ReasonResolved)
	}
	if word, ok := words[state]; ok {
		return word
	}
	return state
}

// sentence says in one line how a task stands and why.
func sentence(s *task.Status) string {
	r := s.LastRun()
	if r == nil {
		if s.State == task.Unscheduled {
			return "It waits for other tasks, or for somebody to schedule it."
		}
		return fmt.Sprintf("Its state is %s.", s.State)
	}
	return runSentence(*r, true)
}

// runSentence says why a run is as it is.
func runSentence(r task.Run, last bool) string {
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
