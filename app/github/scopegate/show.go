package scopegate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/complaint"
	"github.com/treeline-ci/treeline/app/github/graphdiff"
)

// Button is the identifier of the button that approves.
const Button = "approve-scopes"

// Show makes of the check of a comparison one that passes when nothing is held, and asks for an owner's approval
// otherwise.
func Show(s checks.State, pulls []Held) checks.State {
	head, by := waiting(pulls)
	if head != "" {
		s.Conclusion, s.Title = checks.ActionRequired, "An owner must approve: "+s.Title
		s.Summary = head + "\n" + s.Summary
		s.Actions = []checks.Action{{Label: "Approve", Description: "Let the pull request bring these", Identifier: Button}}
		return s
	}
	s.Conclusion = checks.Success
	if len(by) > 0 {
		who := strings.Join(by, ", ")
		s.Title = "Approved by " + who + ": " + s.Title
		s.Summary = "What is new was approved by " + complaint.Escape(who) + ".\n\n" + s.Summary
	}
	return s
}

// Approved is the check after somebody has approved, where its comparison is not at hand any more.
func Approved(s checks.State, pulls []Held) checks.State {
	head, by := waiting(pulls)
	if head != "" {
		s.Summary = head
		return s
	}
	var all []string
	for _, p := range pulls {
		all = append(all, p.Gains...)
	}
	slices.Sort(all)
	who := strings.Join(by, ", ")
	s.Conclusion, s.Actions, s.Title = checks.Success, nil, "Approved by "+who
	s.Summary = "Approved by " + complaint.Escape(who) + ":\n\n" + graphdiff.Block("", slices.Compact(all))
	if s.DetailsURL != "" {
		s.Summary += "\n[The whole comparison](" + s.DetailsURL + ")\n"
	}
	return s
}

// waiting lists in Markdown what nobody has approved, "" when there is nothing, and who approved the rest.
func waiting(pulls []Held) (text string, by []string) {
	var b strings.Builder
	for _, p := range pulls {
		by = append(by, p.By...)
		if len(p.Open) == 0 {
			continue
		}
		fmt.Fprintf(&b, "🔒 **#%d brings to %s what an owner must approve** who neither opened it (%s) nor pushed this revision, with the button *Approve*:\n\n%s\n",
			p.Number, complaint.Escape(p.Base), complaint.Escape(p.Author), graphdiff.Block("-", p.Open))
	}
	slices.Sort(by)
	return b.String(), slices.Compact(by)
}
