package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Bounds of what a task's check shows of its artifacts.
const (
	artifactsShown = 50
	maxCustomText  = 20_000  // bytes
	maxAnnotations = 1 << 20 // bytes of the artifact
	mostAnnotated  = 500
)

// The artifacts in which tasks say what their check is to show besides (taskcluster-map 13.7).
const (
	customText        = "public/github/customCheckRunText.md"
	customAnnotations = "public/github/customCheckRunAnnotations.json"
)

// compose completes the state of a task's check with what the task left behind, which may be a lot and is read when
// it is told only. Where something cannot be read the check does without it.
func (c *Checks) compose(ctx context.Context, r *row, s State) (State, error) {
	if r.Kind != OfTask {
		return s, nil
	}
	item, err := c.Queue.Item(ctx, r.TaskID)
	if errors.Is(err, fault.NotFound) {
		return s, nil // it expired
	}
	if err != nil {
		return s, err
	}
	if c.Why != nil {
		if why, err := c.Why(ctx, item.Task.TaskGroupID, item.Task.Metadata.Name); err == nil && why != "" {
			s.Summary = cut(s.Summary+"\n\n"+why, maxText)
		}
	}
	text := []string{c.linksOf(item)}
	run := runOf(&item.Status, min(r.Attempt, attemptOf(&item.Status))) // GitHub may have seen more attempts than there were
	if run != nil && s.Status == Completed {
		text = append(text, c.logOf(ctx, item, *run, s.Conclusion != Success))
		if list := c.artifactsOf(ctx, item, *run); list != "" {
			text = append(text, list)
		}
		names := namesOf(item.Task.Extra)
		if own := c.customTextOf(ctx, r.TaskID, run.RunID, names.Text); own != "" {
			text = slices.Insert(text, 1, own)
		}
		if wrong := c.annotate(ctx, &s, r.TaskID, run.RunID, names.Annotations); wrong != "" {
			text = append(text, wrong)
		}
	}
	if s.Text != "" {
		text = append(text, s.Text) // what was offered: at the end, and within the limit
	}
	s.Text = join(text, maxText)
	return s, nil
}

// join puts parts of a text together so that what is cut is from the longest of them.
func join(parts []string, n int) string {
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	for len(strings.Join(parts, "\n\n")) > n {
		longest := 0
		for i := range parts {
			if len(parts[i]) > len(parts[longest]) {
				longest = i
			}
		}
		over := len(strings.Join(parts, "\n\n")) - n
		parts[longest] = cut(parts[longest], max(200, len(parts[longest])-over))
		if len(parts[longest]) <= 200 {
			break
		}
	}
	return cut(strings.Join(parts, "\n\n"), n)
}

// names are those of the artifacts with what a check is to show besides.
type names struct {
	Text        string `json:"textArtifactName"`
	Annotations string `json:"annotationsArtifactName"`
}

// namesOf reads extra.github.customCheckRun of a task. Only public artifacts are shown: everybody may read a check run.
func namesOf(extra json.RawMessage) names {
	var e struct {
		GitHub struct {
			Custom names `json:"customCheckRun"`
		} `json:"github"`
	}
	_ = json.Unmarshal(extra, &e) // it may hold anything, and then nothing for us
	n := e.GitHub.Custom
	if !strings.HasPrefix(n.Text, "public/") {
		n.Text = customText
	}
	if !strings.HasPrefix(n.Annotations, "public/") {
		n.Annotations = customAnnotations
	}
	return n
}

// runOf is the last run of an attempt; nil when there is none. A rerun begins an attempt.
func runOf(s *task.Status, attempt int) *task.Run {
	at := 1
	var found *task.Run
	for i := range s.Runs {
		if s.Runs[i].ReasonCreated == task.CreatedRerun {
			at++
		}
		if at == attempt {
			found = &s.Runs[i]
		}
	}
	return found
}

// attemptOf is which attempt a task is in.
func attemptOf(s *task.Status) int {
	at := 1
	for _, r := range s.Runs {
		if r.ReasonCreated == task.CreatedRerun {
			at++
		}
	}
	return at
}

func (c *Checks) taskURL(id string) string  { return c.RootURL + "/tasks/" + url.PathEscape(id) }
func (c *Checks) groupURL(id string) string { return c.RootURL + "/tasks/groups/" + url.PathEscape(id) }
func (c *Checks) artifactURL(id string, run int, name string) string {
	return fmt.Sprintf("%s/api/queue/v1/task/%s/runs/%d/artifacts/%s", c.RootURL, url.PathEscape(id), run, (&url.URL{Path: name}).EscapedPath())
}

// linksOf are the links of a task and a table of its runs.
func (c *Checks) linksOf(item queue.Item) string {
	var b strings.Builder
	s := item.Status
	fmt.Fprintf(&b, "[Task](%s) · [task group](%s)", c.taskURL(s.TaskID), c.groupURL(s.TaskGroupID))
	if len(s.Runs) == 0 {
		return b.String()
	}
	if last := s.LastRun(); last.Started != nil {
		fmt.Fprintf(&b, " · [live log](%s/runs/%d/logs/%s)", c.taskURL(s.TaskID), last.RunID, liveName)
	}
	b.WriteString("\n")
	b.WriteString("\n| run | state | worker | started | took |\n| --- | --- | --- | --- | --- |\n")
	runs := s.Runs
	if len(runs) > 20 {
		runs = runs[len(runs)-20:]
	}
	for _, r := range runs {
		state, worker, started, took := string(r.State), "", "", ""
		if r.ReasonResolved != "" && string(r.ReasonResolved) != state {
			state += ": " + string(r.ReasonResolved)
		}
		if r.WorkerID != "" {
			worker = code(r.WorkerGroup + "/" + r.WorkerID)
		}
		if r.Started != nil {
			started = r.Started.UTC().Format("2006-01-02 15:04:05 MST")
			if r.Resolved != nil {
				took = lasted(r.Resolved.Sub(r.Started.Time))
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", r.RunID, state, worker, started, took)
	}
	return b.String()
}

// artifactsOf lists the first artifacts of a run.
func (c *Checks) artifactsOf(ctx context.Context, item queue.Item, run task.Run) string {
	page, err := c.Queue.ListArtifacts(ctx, item.Status.TaskID, run.RunID, artifactsShown+1, "")
	if err != nil || len(page.Artifacts) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("**Artifacts**\n\n")
	for i, a := range page.Artifacts {
		if i == artifactsShown {
			fmt.Fprintf(&b, "- … [all of them](%s)\n", c.taskURL(item.Status.TaskID))
			break
		}
		size := ""
		if a.ContentLength != nil {
			size = " (" + bytesText(*a.ContentLength) + ")"
		}
		fmt.Fprintf(&b, "- [%s](%s)%s\n", escape(a.Name), c.artifactURL(item.Status.TaskID, run.RunID, a.Name), size)
	}
	return b.String()
}

// read reads an artifact up to a size; nil when it cannot be read. Tasks choose where references and links lead, so
// none is followed.
func (c *Checks) read(ctx context.Context, id string, run int, name string, most int64) (content []byte, whole bool) {
	if c.Open == nil {
		return nil, true
	}
	body, err := c.Open(ctx, id, run, name)
	if err != nil {
		return nil, true
	}
	defer body.Close()
	content, err = io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, true
	}
	if int64(len(content)) > most {
		return content[:most], false
	}
	return content, true
}

func (c *Checks) customTextOf(ctx context.Context, id string, run int, name string) string {
	content, complete := c.read(ctx, id, run, name, maxCustomText)
	text := strings.ReplaceAll(string(content), "\x00", "")
	if !complete {
		text += strings.Repeat(" ", 1024) // so that cut says that something is missing
	}
	return cut(text, maxCustomText)
}

// annotate adds the annotations that a task's run left. It returns what is wrong with them.
func (c *Checks) annotate(ctx context.Context, s *State, id string, run int, name string) string {
	content, whole := c.read(ctx, id, run, name, maxAnnotations)
	if len(content) == 0 {
		return ""
	}
	if !whole {
		return fmt.Sprintf("The annotations in %s are not shown: the artifact is larger than 1 MB.", code(name))
	}
	var list []Annotation
	if err := json.Unmarshal(content, &list); err != nil {
		return fmt.Sprintf("The annotations in %s are not shown: it is not a JSON list of annotations as GitHub describes them (%s).", code(name), escape(cutLine(err.Error(), 200)))
	}
	left := 0
	for _, a := range list {
		if !a.fit() || len(s.Annotations) == mostAnnotated {
			left++
			continue
		}
		s.Annotations = append(s.Annotations, a)
	}
	if left > 0 {
		return fmt.Sprintf("%d of %d annotations in %s are not shown: there are more than %d, or they lack a path, a message, lines from 1 on, or a level of notice, warning or failure.",
			left, len(list), code(name), mostAnnotated)
	}
	return ""
}

// fit brings an annotation within GitHub's limits, or reports that it never will be.
func (a *Annotation) fit() bool {
	level := a.Level == "notice" || a.Level == "warning" || a.Level == "failure"
	if a.Path == "" || a.Message == "" || a.StartLine < 1 || !level {
		return false
	}
	a.EndLine = max(a.EndLine, a.StartLine)
	if a.StartLine != a.EndLine {
		a.StartColumn, a.EndColumn = 0, 0
	}
	const most = 60 << 10
	a.Message, a.RawDetails, a.Title = cut(a.Message, most), cut(a.RawDetails, most), cutLine(a.Title, 255)
	return true
}

func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// lasted is a time in words of a glance.
func lasted(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// escape makes what strangers wrote plain text in Markdown, that calls nobody.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "`", "'", "|", "\\|", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_", "\n", " ", "\r", " ").Replace

// code is inline code.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "\n", " ", "\r", " ", "|", "¦").Replace(s) + "`"
}
