package graphdiff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Name is what the check is called.
const Name = "task graph"

// Bounds of what the check shows; the page shows the rest.
const (
	maxText        = 28_000 // bytes of summary and of text each
	maxScopes      = 40     // listed before everything else
	maxAnnotations = 50     // of faults
	maxMessage     = 4_000  // bytes of one
)

// State is what the check shows of an outcome that is concerned; link leads to the whole of it, "" when there is no
// such page. It is always neutral: what it tells is for people to judge, and the decision fails by itself.
func (o Outcome) State(link string) checks.State {
	s := checks.State{Status: checks.Completed, Conclusion: checks.Neutral, DetailsURL: link}
	switch {
	case o.Beyond != "":
		s.Title = "The graphs were not compared"
		s.Summary = "Comparing the task graphs was given up: " + plain(o.Beyond) + ". `treeline taskgraph diff` compares them on your machine."
	case len(o.Head) > 0:
		s.Title = fmt.Sprintf("No graph: %s", o.Head[0])
		s.Summary, s.Annotations = faults(o.Head)
	case !o.Concerned:
		s.Title, s.Summary = "No task differs", "The graphs were not compared, since "+o.Why+"."
	case o.Base != "":
		s.Title = "Nothing to compare with: the base has faults"
		s.Summary = "The graph of this revision can be made. That of the revision it began from cannot:\n\n" + Block("", []string{o.Base})
	case o.Report.Empty():
		s.Title = "No task differs"
		s.Summary = fmt.Sprintf("Files that the task graph is made from differ; the graphs (%s) do not, with the parameters of %s.", o.Report.Stage, names(o.Report))
	default:
		s.Title = title(o.Report)
		s.Summary = summary(o.Report, link)
		more := "`treeline taskgraph diff` tells all."
		if link != "" {
			more = "[the whole comparison](" + link + ")."
		}
		s.Text = o.Report.MarkdownWithin(maxText, more)
	}
	return s
}

// Gains are what the head has and no task of the base had: scopes, task queues, and another .taskcluster.yml, from which
// anything may follow. Where it cannot be told, whatever the revision has is one.
func (o Outcome) Gains(revision string) []string {
	var out []string
	for _, scope := range o.Report.NewScopes() {
		out = append(out, "scope "+scope)
	}
	for _, queue := range o.Report.NewQueues() {
		out = append(out, "task queue "+queue)
	}
	if o.Config != "" {
		out = append(out, configFile+" as of sha256 "+o.Config)
	}
	if o.Beyond != "" || len(o.Head) > 0 || o.Base != "" {
		out = append(out, "whatever "+revision+" has: it cannot be told")
	}
	return out
}

func title(r diff.Report) string {
	text := r.Summary()
	if n := len(r.NewQueues()); n > 0 {
		text = fmt.Sprintf("🔴 %d new %s; %s", n, noun(n, "task queue"), text)
	}
	if n := len(r.NewScopes()); n > 0 {
		text = fmt.Sprintf("🔴 %d new %s; %s", n, noun(n, "scope"), text)
	}
	return text
}

func names(r diff.Report) string {
	var out []string
	for _, s := range r.Sets {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}

func noun(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// summary says what a reviewer must not miss: scopes that no task had before, workers that none ran on, and what all costs.
func summary(r diff.Report, link string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s\n\n| parameters | tasks | added | removed | changed | machine time | critical path |\n|---|---|---|---|---|---|---|\n", r.Base, r.Head)
	for _, s := range r.Sets {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | %s |\n", plain(s.Name), moved(fmt.Sprint(s.Diff.Base.Tasks), fmt.Sprint(s.Diff.Head.Tasks)),
			len(s.Added), len(s.Removed), s.ChangedTasks(), moved(s.Diff.Base.Time.String(), s.Diff.Head.Time.String()), moved(s.Diff.Base.Longest.String(), s.Diff.Head.Longest.String()))
	}
	if fresh := r.NewScopes(); len(fresh) > 0 {
		b.WriteString("\n🔴 **New scopes**, which no task had before:\n\n" + Block("-", fresh))
	}
	if old := gained(r); len(old) > 0 {
		b.WriteString("\n🟠 **Scopes gained** by tasks, which others had before:\n\n" + Block("!", old))
	}
	if fresh := r.NewQueues(); len(fresh) > 0 {
		b.WriteString("\n🔴 **New task queues**, on which no task was before:\n\n" + Block("-", fresh))
	}
	if link != "" {
		fmt.Fprintf(&b, "\n[The whole comparison](%s)\n", link)
	}
	return b.String()
}

// gained are the scopes that some task of the base had, and others have now.
func gained(r diff.Report) []string {
	var out []string
	for _, s := range r.Sets {
		for _, g := range s.Gained {
			if !g.New {
				out = append(out, g.Scope)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(scope string) bool { return slices.Contains(r.NewScopes(), scope) })
}

// Block quotes lines so that whatever they hold stays text. In a diff, lines with a minus are red and those with an
// exclamation mark orange.
func Block(mark string, lines []string) string {
	shown := lines[:min(len(lines), maxScopes)]
	text := &strings.Builder{}
	for _, l := range shown {
		fmt.Fprintf(text, "%s\n", strings.TrimSpace(mark+" "+oneLine(l)))
	}
	if more := len(lines) - len(shown); more > 0 {
		fmt.Fprintf(text, "  … and %d more\n", more)
	}
	fence := "```"
	for strings.Contains(text.String(), fence) {
		fence += "`"
	}
	kind := "text"
	if mark != "" {
		kind = "diff"
	}
	return fence + kind + "\n" + text.String() + fence + "\n"
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 500)]
}

// plain is text from a tree within a line of Markdown.
func plain(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(oneLine(s)) + "`"
}

func moved(a, b string) string {
	if a == b {
		return a
	}
	return a + " → " + b
}

// faults tells of a configuration that makes no graph, at the lines it speaks of.
func faults(list []*graph.Error) (string, []checks.Annotation) {
	var lines []string
	var at []checks.Annotation
	for _, f := range list {
		lines = append(lines, f.Error())
		if f.File == "" || len(at) == maxAnnotations {
			continue
		}
		message := (&graph.Error{Label: f.Label, Message: f.Message, Err: f.Err}).Error()
		at = append(at, checks.Annotation{
			Path: f.File, StartLine: max(1, f.Line), EndLine: max(1, f.Line), Level: "failure", Title: "No task graph",
			Message: strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""),
		})
	}
	return fmt.Sprintf("The task graph of this revision cannot be made; its decision will fail with the same %s:\n\n", noun(len(list), "fault")) + Block("", lines), at
}
