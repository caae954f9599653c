package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// artifactJSON is an artifact for the script; shell/data.ts describes it.
type artifactJSON struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	ContentType string `json:"contentType"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	Expires     int64  `json:"expires"`
	Href        string `json:"href"`
	Log         string `json:"log"`
	Present     bool   `json:"present"`
}

// The names under which workers publish the log of a run, the best first.
func logNames() []string {
	return []string{"public/logs/live.log", "public/logs/live_backing.log", "public/live.log", "public/live_backing.log"}
}

const maxArtifacts = 10000 // of a run, listed

func (u *UI) addArtifacts(ctx context.Context, v *visit, data *taskJSON) error {
	if data.Run < 0 || v.allow(scope.String("queue:list-artifacts:"+data.ID+":"+strconv.Itoa(data.Run))) != nil {
		return nil
	}
	for token := ""; len(data.Artifacts) < maxArtifacts; {
		page, err := u.deps.Queue.ListArtifacts(ctx, data.ID, data.Run, 0, token)
		if err != nil {
			return err
		}
		for _, a := range page.Artifacts {
			data.Artifacts = append(data.Artifacts, artifactOf(data.ID, data.Run, a))
		}
		if token = page.Next; token == "" {
			break
		}
	}
	for _, name := range append(logNames(), firstLog(data.Artifacts)) {
		if i := slices.IndexFunc(data.Artifacts, func(a artifactJSON) bool { return a.Name == name && a.Present }); i >= 0 {
			data.Log, data.LogPage = logPath("/ui/api/logs/", data.ID, data.Run, name), data.Artifacts[i].Log
			break
		}
	}
	return nil
}

func firstLog(list []artifactJSON) string {
	for _, a := range list {
		if a.Log != "" && strings.HasSuffix(a.Name, ".log") {
			return a.Name
		}
	}
	return ""
}

func artifactOf(id string, run int, a queue.Artifact) artifactJSON {
	out := artifactJSON{
		Name: a.Name, Type: string(a.StorageType), ContentType: a.ContentType, Size: -1, SHA256: a.ContentSHA256, Expires: a.Expires.UnixMilli(),
		Href: "/tasks/" + id + "/runs/" + strconv.Itoa(run) + "/" + escapePath(a.Name), Present: a.Present && a.StorageType != queue.StorageError,
	}
	if a.ContentLength != nil {
		out.Size = *a.ContentLength
	}
	if isLog(a) && out.Present {
		out.Log = "/tasks/" + id + "/runs/" + strconv.Itoa(run) + "/logs/" + escapePath(a.Name)
	}
	return out
}

// isLog reports whether an artifact is one to read line by line.
func isLog(a queue.Artifact) bool {
	ext := path.Ext(a.Name)
	return ext == ".log" || ext == ".txt" || strings.HasPrefix(a.ContentType, "text/plain") && ext != ".html" && ext != ".yml"
}

func logPath(prefix, id string, run int, name string) string {
	return prefix + id + "/" + strconv.Itoa(run) + "/" + escapePath(name)
}

// escapePath escapes a name but for its slashes.
func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// content finds where an artifact's bytes are, after the visitor's scopes were checked for each name
// on the way. local is the address on this server, ""
// when the bytes live elsewhere.
func (u *UI) content(v *visit, id string, run int, name string) (a queue.Artifact, address, local string, err error) {
	ctx := v.r.Context()
	a, names, err := u.deps.Queue.FollowLinks(ctx, id, run, name)
	want := make([]string, len(names))
	for i, n := range names {
		want[i] = "queue:get-artifact:" + n
	}
	// Scopes come before whether the artifact exists, as at the queue's door.
	if denied := v.allow(scope.Strings(want...)); denied != nil {
		return a, "", "", denied
	}
	if err != nil {
		return a, "", "", err
	}
	if a.StorageType == queue.StorageError {
		return a, "", "", fault.New(fault.NotFound, "The artifact %q was not made: %s (%s)", name, a.Message, a.Reason)
	}
	if address, err = u.deps.Queue.Location(ctx, a); err != nil {
		return a, "", "", err
	}
	return a, address, localPart(u.deps.RootURL, address), nil
}

// localPart returns path and query of an address on this server, whatever name people reach it by;
// "" for another one.
func localPart(root, address string) string {
	rest, ok := strings.CutPrefix(address, strings.TrimSuffix(root, "/"))
	if !ok || !strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "//") {
		return ""
	}
	return rest
}

// artifact leads to an artifact's content. It comes with headers that keep it from acting in the name
// of these pages.
func (u *UI) artifact(v *visit, run int, name string) error {
	_, address, local, err := u.content(v, v.r.PathValue("task"), run, name)
	if err != nil {
		return err
	}
	if local != "" {
		return v.redirect(local)
	}
	if target, err := url.Parse(address); err != nil || target.Scheme != "https" && target.Scheme != "http" {
		return fault.New(fault.Invalid, "The artifact %q lies at an address that cannot be opened from here.", name)
	}
	return v.redirect(address)
}

// where tells the script where to read a log's bytes.
type where struct {
	URL     string `json:"url"` // on this server
	Growing bool   `json:"growing"`
	Size    int64  `json:"size"` // of a log that has ended, -1 when unknown
}

// logBytes answers where a log's bytes are now: while it grows in one place, later in another, with
// the same bytes.
func (u *UI) logBytes(v *visit) (any, error) {
	run, err := runNumber(v.r.PathValue("run"))
	if err != nil {
		return nil, err
	}
	id, name := v.r.PathValue("task"), v.r.PathValue("name")
	growing, err := u.growing(v.r.Context(), id, run)
	if err != nil {
		return nil, err
	}
	a, _, local, err := u.content(v, id, run, name)
	if err != nil {
		return nil, err
	}
	if local == "" {
		return nil, fault.New(fault.Gone, "This log lives on another server; open the raw log instead.")
	}
	w := where{local, growing, -1}
	if a.ContentLength != nil && !growing {
		w.Size = *a.ContentLength
	}
	return w, nil
}

// growing reports whether a run is not at its end. It is read before the artifact, so that a log
// that ends in between is asked for once more.
func (u *UI) growing(ctx context.Context, id string, run int) (bool, error) {
	s, err := u.deps.Queue.Status(ctx, id)
	if err != nil {
		return false, err
	}
	return run < len(s.Runs) && s.Runs[run].State == task.Running, nil
}

// logJSON is what the log viewer is about; shell/data.ts describes it.
type logJSON struct {
	TaskID  string `json:"taskId"`
	Run     int    `json:"run"`
	Name    string `json:"name"`
	Bytes   string `json:"bytes"`
	Raw     string `json:"raw"`
	Growing bool   `json:"growing"`
}

// logViewer shows a log.
func (u *UI) logViewer(v *visit, run int, name string) error {
	id := v.r.PathValue("task")
	data, err := u.readTask(v, id, run)
	if err != nil {
		return err
	}
	stream := u.streamPath(v, "task="+id)
	_, _, local, err := u.content(v, id, run, name)
	if err != nil {
		return err
	}
	log := logJSON{TaskID: id, Run: run, Name: name, Raw: logPath("/tasks/", id, run, name), Growing: data.Runs[run].State == "running"}
	log.Raw = "/tasks/" + id + "/runs/" + strconv.Itoa(run) + "/" + escapePath(name)
	if local != "" {
		log.Bytes = logPath("/ui/api/logs/", id, run, name)
	}
	repo := ""
	if data.Push != nil {
		repo = data.Push.Repo
	}
	return v.show(http.StatusOK, view{
		Title: "Log of " + data.Name, Name: "log", Main: "log-page", Repo: repo, Stream: stream,
		Body: struct {
			Task taskJSON
			Log  logJSON
		}{data, log},
	}, log)
}

// taskPart shows what lies under a task's address: a run, a log, an artifact, the definition.
func (u *UI) taskPart(v *visit) error {
	id, rest := v.r.PathValue("task"), v.r.PathValue("rest")
	switch rest {
	case "":
		return v.redirect("/tasks/" + id)
	case "definition":
		return v.redirect("/tasks/" + id + "?tab=definition")
	}
	text, rest, deeper := strings.Cut(strings.TrimPrefix(rest, "runs/"), "/")
	if !strings.HasPrefix(v.r.PathValue("rest"), "runs/") {
		return errNoPage
	}
	run, err := runNumber(text)
	if err != nil {
		return err
	}
	if !deeper || rest == "" {
		return u.showTask(v, run)
	}
	if name, ok := strings.CutPrefix(rest, "logs/live/"); ok && !u.hasArtifact(v, id, run, strings.TrimPrefix(rest, "logs/")) {
		return v.redirect("/tasks/" + id + "/runs/" + text + "/logs/" + escapePath(name))
	}
	if name, ok := strings.CutPrefix(rest, "logs/"); ok && name != "" {
		return u.logViewer(v, run, name)
	}
	return u.artifact(v, run, rest)
}

func (u *UI) hasArtifact(v *visit, id string, run int, name string) bool {
	_, err := u.deps.Queue.Artifact(v.r.Context(), id, run, name)
	return !errors.Is(err, fault.NotFound)
}

// oldLogViewer leads from Treeherder's address of a log to ours.
func (u *UI) oldLogViewer(v *visit) error {
	id, run, _ := strings.Cut(v.r.FormValue("task"), ".")
	if id == "" {
		return fault.New(fault.NotFound, "The address names no task: it should have task=TASKID.RUN.")
	}
	if run == "" {
		run = "0"
	}
	to := "/tasks/" + url.PathEscape(id) + "/runs/" + url.PathEscape(run) + "/logs/" + logNames()[0]
	if lines := v.r.FormValue("lineNumber"); lines != "" {
		to += "#L" + url.QueryEscape(lines)
	}
	return v.redirect(to)
}
