package logs

import (
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/page"
)

// Artifact is an artifact for the script; shell/data.ts describes it.
type Artifact struct {
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

// Artifacts lists the artifacts of a run as far as the visitor may see them, and the name of its main log; "" without.
func (ps *Pages) Artifacts(v *page.Visit, id string, run int) (list []Artifact, log string, err error) {
	list = []Artifact{}
	if run < 0 || v.Allow(scope.String("queue:list-artifacts:"+id+":"+strconv.Itoa(run))) != nil {
		return list, "", nil
	}
	for token := ""; len(list) < maxArtifacts; {
		page, err := ps.Queue.ListArtifacts(v.R.Context(), id, run, 0, token)
		if err != nil {
			return nil, "", err
		}
		for _, a := range page.Artifacts {
			list = append(list, artifactOf(id, run, a))
		}
		if token = page.Next; token == "" {
			break
		}
	}
	for _, name := range append(logNames(), firstLog(list)) {
		if slices.ContainsFunc(list, func(a Artifact) bool { return a.Name == name && a.Present }) {
			return list, name, nil
		}
	}
	return list, "", nil
}

func firstLog(list []Artifact) string {
	for _, a := range list {
		if a.Log != "" && strings.HasSuffix(a.Name, ".log") {
			return a.Name
		}
	}
	return ""
}

func artifactOf(id string, run int, a queue.Artifact) Artifact {
	out := Artifact{
		Name: a.Name, Type: string(a.StorageType), ContentType: a.ContentType, Size: -1, SHA256: a.ContentSHA256, Expires: a.Expires.UnixMilli(),
		Href: rawPath(id, run, a.Name), Present: a.Present && a.StorageType != queue.StorageError,
	}
	if a.ContentLength != nil {
		out.Size = *a.ContentLength
	}
	if isLog(a) && out.Present {
		out.Log = ViewerPath(id, run, a.Name)
	}
	return out
}

// isLog reports whether an artifact is one to read line by line.
func isLog(a queue.Artifact) bool {
	ext := path.Ext(a.Name)
	return ext == ".log" || ext == ".txt" || strings.HasPrefix(a.ContentType, "text/plain") && ext != ".html" && ext != ".yml"
}

// BytesPath is the address that says where a log's text is.
func BytesPath(id string, run int, name string) string {
	return "/ui/api/logs/" + id + "/" + strconv.Itoa(run) + "/" + EscapePath(name)
}

// ViewerPath is the address of the page of a log.
func ViewerPath(id string, run int, name string) string {
	return "/tasks/" + id + "/runs/" + strconv.Itoa(run) + "/logs/" + EscapePath(name)
}

// rawPath is the address that leads to an artifact's content.
func rawPath(id string, run int, name string) string {
	return "/tasks/" + id + "/runs/" + strconv.Itoa(run) + "/" + EscapePath(name)
}

// EscapePath escapes a name but for its slashes.
func EscapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// content finds where an artifact's bytes are, after the visitor's scopes were checked for each name
// on the way. local is the address on this server, ""
// when the bytes live elsewhere.
func (ps *Pages) content(v *page.Visit, id string, run int, name string) (a queue.Artifact, address, local string, err error) {
	ctx := v.R.Context()
	a, names, err := ps.Queue.FollowLinks(ctx, id, run, name)
	want := make([]string, len(names))
	for i, n := range names {
		want[i] = "queue:get-artifact:" + n
	}
	// Scopes come before whether the artifact exists, as at the queue's door.
	if denied := v.Allow(scope.Strings(want...)); denied != nil {
		return a, "", "", denied
	}
	if err != nil {
		return a, "", "", err
	}
	if a.StorageType == queue.StorageError {
		return a, "", "", fault.New(fault.NotFound, "The artifact %q was not made: %s (%s)", name, a.Message, a.Reason)
	}
	if address, err = ps.Queue.Location(ctx, a); err != nil {
		return a, "", "", err
	}
	return a, address, localPart(ps.RootURL, address), nil
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

// Open leads to an artifact's content. It comes with headers that keep it from acting in the name
// of these pages.
func (ps *Pages) Open(v *page.Visit, run int, name string) error {
	_, address, local, err := ps.content(v, v.R.PathValue("task"), run, name)
	if err != nil {
		return err
	}
	if local != "" {
		return v.Redirect(local)
	}
	if !page.IsWeb(address) {
		return fault.New(fault.Invalid, "The artifact %q lies at an address that cannot be opened from here.", name)
	}
	return v.Redirect(address)
}
