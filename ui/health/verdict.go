package health

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/push"
)

// verdict is what the page says first.
type verdict struct {
	State   string   `json:"state"` // failed, passed, running or exception, as states look
	Title   string   `json:"title"`
	Reasons []string `json:"reasons"`
	Final   bool     `json:"final"`
}

// judge puts the counts into words.
func (d *data) judge() verdict {
	v := verdict{Reasons: []string{}, Final: d.Running == 0 && d.Reading == 0}
	n := func(k failures.Kind) int { return d.Counts[string(k)] }
	switch {
	case d.State == string(push.Failed):
		return verdict{State: "failed", Title: "No tasks could be made of this push", Reasons: []string{"The decision failed; what it says is below."}, Final: true}
	case d.State == string(push.Ignored):
		return verdict{State: "cancelled", Title: "There is nothing to do for this push", Reasons: []string{}, Final: true}
	case d.State != string(push.Decided):
		return verdict{State: "running", Title: "Which tasks this push needs is being decided", Reasons: []string{}}
	case n(failures.Fresh) > 0:
		v.State, v.Title = "failed", plural(n(failures.Fresh), "new failure", "new failures")
	case n(failures.Unsure) > 0:
		v.State, v.Title = "exception", plural(n(failures.Unsure), "failure", "failures")+" that cannot be judged yet"
	case !v.Final:
		v.State, v.Title = "running", "No new failures so far"
	default:
		v.State, v.Title = "passed", "No new failures"
	}
	for _, k := range failures.Kinds() {
		if words, ok := kindWords[k]; ok && n(k) > 0 && k != failures.Fresh {
			v.Reasons = append(v.Reasons, plural(n(k), words[0], words[1])+".")
		}
	}
	switch b := d.Base; {
	case !b.Known && b.Revision == "":
		v.Reasons = append(v.Reasons, "This push has no parent that is known here, so nothing can be compared.")
	case !b.Known:
		v.Reasons = append(v.Reasons, "The parent "+short(b.Revision)+" is no push that is known here, so nothing can be compared.")
	case b.Unfinished < 0:
		v.Reasons = append(v.Reasons, "The tasks of the parent "+short(b.Revision)+" are not decided yet.")
	case b.Unfinished > 0:
		v.Reasons = append(v.Reasons, fmt.Sprintf("The parent %s has not finished: %s yet to end. Nothing is called new before.", short(b.Revision), plural(b.Unfinished, "task has", "tasks have")))
	}
	if d.Running > 0 {
		v.Reasons = append(v.Reasons, fmt.Sprintf("Not final: %d running.", d.Running))
	}
	if d.Reading > 0 {
		v.Reasons = append(v.Reasons, fmt.Sprintf("Not final: what %s is still being read.", plural(d.Reading, "failed run left", "failed runs left")))
	}
	return v
}

// kindWords name failures of a kind, one and several; nobody changes them.
var kindWords = map[failures.Kind][2]string{
	failures.Fresh: {"new", "new"}, failures.Unsure: {"cannot be judged yet", "cannot be judged yet"},
	failures.Known: {"known failure", "known failures"}, failures.Flaky: {"flaky failure", "flaky failures"}, failures.Infra: {"failure of the machines", "failures of the machines"},
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func short(r string) string { return r[:min(10, len(r))] }

// section is the failures of a kind, for the outline.
type section struct {
	Kind, Title, Help string
	N                 int
	Groups            []*failures.Group
}

// sections puts the failures that a tab shows under headings.
func (d *data) sections(tab string) []section {
	var out []section
	for _, s := range []section{
		{Kind: "new", Title: "New failures", Help: "They came with this push."},
		{Kind: "unsure", Title: "Not judged yet", Help: "The parent has not finished."},
		{Kind: "known", Title: "Known failures", Help: "Somebody has classified them, or they fail without this push too."},
		{Kind: "flaky", Title: "Flaky failures", Help: "They pass and fail on the same revision."},
		{Kind: "infra", Title: "The machines", Help: "They say nothing about this push."},
	} {
		if tab != "" && tab != s.Kind && (tab != "failures" || s.Kind != "new" && s.Kind != "unsure") {
			continue
		}
		s.N = d.Counts[s.Kind]
		for _, g := range d.Groups {
			if string(g.Kind) == s.Kind {
				s.Groups = append(s.Groups, g)
			}
		}
		if s.N > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Name is what a job is called in the plural, for the outline.
func (j jobs) Name() string {
	if name, ok := map[string]string{"build": "Builds", "lint": "Lint", "test": "Tests", "other": "Others"}[j.Job]; ok {
		return name
	}
	return strings.ToUpper(j.Job[:1]) + j.Job[1:]
}
