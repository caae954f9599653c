package indexpages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// Limits of a preview.
const (
	maxText   = 512 << 10 // bytes of a text that are shown
	maxJSON   = 4 << 20   // bytes of a document that is shown as a tree
	maxNodes  = 5000
	maxPage   = 32 << 20 // bytes of a report
	maxPicure = 32 << 20
	readFor   = 20 * time.Second
)

// previewView is the page of an artifact.
type previewView struct {
	TaskID, Name string
	Run          int
	Artifact     queue.Artifact
	Size         int64 // -1: not known
	Kind         string
	Text         string
	Cut          bool
	Tree         *node
	Zip          *archive
	Refused      string // why there is no preview
	Download     string // address of the content
	Frame        string // address of the content for a frame or a picture
	Page         string // of a log in its viewer; "" for others
	TaskName     string
	Others       []artifactLink
}

// find looks up an artifact for the visitor, who must hold the scopes for each name on the way.
func (ps *Pages) find(v *page.Visit, id string, run int, name string) (queue.Artifact, error) {
	a, names, err := ps.Queue.FollowLinks(v.R.Context(), id, run, name)
	want := make([]string, len(names))
	for i, n := range names {
		want[i] = "queue:get-artifact:" + n
	}
	if denied := v.Allow(scope.Strings(want...)); denied != nil {
		return a, denied
	}
	if err != nil {
		return a, err
	}
	if a.StorageType == queue.StorageError {
		return a, fault.New(fault.NotFound, "The artifact %q was not made: %s (%s)", name, a.Message, a.Reason)
	}
	if err := a.Expired(); err != nil {
		return a, err
	}
	return a, nil
}

// Show shows a task's artifact; the run is the last unless the address says another.
func (ps *Pages) Show(v *page.Visit, id, name string) error {
	run := -1
	if text := v.R.FormValue("run"); text != "" {
		var err error
		if run, err = logs.RunNumber(text); err != nil {
			return err
		}
	}
	status, err := ps.Queue.Status(v.R.Context(), id)
	if err != nil {
		return err
	}
	if run < 0 {
		run = len(status.Runs) - 1
	}
	if run < 0 {
		return fault.New(fault.NotFound, "The task %s has not run, so it has no artifacts.", id)
	}
	a, err := ps.find(v, id, run, name)
	if err != nil {
		return err
	}
	p := previewView{TaskID: id, Name: name, Run: run, Artifact: a, Size: -1, Download: "/tasks/" + id + "/runs/" + itoa(run) + "/" + escapeName(name)}
	p.Frame = "/ui/artifact/" + id + "/" + itoa(run) + "/" + escapeName(name)
	if a.ContentLength != nil {
		p.Size = *a.ContentLength
	}
	if item, err := ps.Queue.Item(v.R.Context(), id); err == nil {
		p.TaskName = item.Task.Metadata.Name
	}
	ps.preview(v.R.Context(), &p)
	list, _, err := ps.Logs.Artifacts(v, id, run)
	if err != nil {
		return err
	}
	for _, o := range list[:min(len(list), 200)] {
		p.Others = append(p.Others, artifactLink{Artifact: o, Preview: PreviewPath(id, run, o.Name)})
		if o.Name == name && o.Log != "" {
			p.Page = o.Log
		}
	}
	return v.Show(http.StatusOK, page.View{Title: path.Base(name), Name: "artifact", Body: p}, nil)
}

// kindOf says how an artifact is shown.
func kindOf(name, contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind == "application/octet-stream" || kind == "" {
		kind, _, _ = mime.ParseMediaType(mime.TypeByExtension(path.Ext(name)))
	}
	ext := strings.ToLower(path.Ext(name))
	switch {
	case kind == "text/html" || kind == "application/xhtml+xml" || ext == ".html":
		return "html"
	case kind == "application/json" || strings.HasSuffix(kind, "+json") || ext == ".json":
		return "json"
	case slices.Contains(pictures(), kind):
		return "image"
	case kind == "application/zip" || ext == ".zip" || ext == ".jar" || ext == ".apk" || ext == ".xpi" || ext == ".whl":
		return "zip"
	case strings.HasPrefix(kind, "text/") || slices.Contains([]string{".log", ".txt", ".yml", ".yaml", ".md", ".diff", ".patch", ".toml", ".ini", ".csv", ".xml"}, ext):
		return "text"
	}
	return "other"
}

// pictures are the types that browsers show without running anything in them. SVG is among those with care: as a
// picture it runs no script either.
func pictures() []string {
	return []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml"}
}

// preview fills in what is shown of the content; whatever hinders that is told in words.
func (ps *Pages) preview(ctx context.Context, p *previewView) {
	p.Kind = kindOf(p.Name, p.Artifact.ContentType)
	limit := map[string]int64{"json": maxJSON, "html": maxPage, "image": maxPicure, "text": 1 << 62, "zip": 1 << 62}[p.Kind]
	switch {
	case !p.Artifact.StorageType.Stored():
		p.Refused = "It lies at an address outside of this server, so it can be opened and not shown here."
		return
	case !p.Artifact.Present:
		p.Refused = "Its upload is not finished. Reload the page when it is."
		return
	case p.Kind == "other":
		p.Refused = "There is no preview of this type (" + p.Artifact.ContentType + ")."
	case p.Size > limit:
		p.Refused = fmt.Sprintf("It is larger than the %d MB up to which there is a preview. Downloading it goes on where it stopped, if it stops.", limit>>20)
	}
	if p.Refused != "" || p.Kind == "html" || p.Kind == "image" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	o, body, err := ps.Objects.Open(ctx, p.Artifact.ObjectName())
	if err != nil {
		p.Refused = "Its content cannot be read at the moment: " + fault.Message(err)
		return
	}
	defer body.Close()
	p.Size = o.Size
	if p.Kind == "zip" {
		if p.Zip, err = listZip(body, o.Size); err != nil {
			p.Refused = err.Error()
		}
		return
	}
	ps.previewText(p, body)
}

func (ps *Pages) previewText(p *previewView, body io.Reader) {
	limit := int64(maxText)
	if p.Kind == "json" {
		limit = maxJSON
	}
	text, err := io.ReadAll(io.LimitReader(body, limit))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		p.Refused = "Its content cannot be read at the moment."
		return
	}
	if p.Kind == "json" {
		if p.Tree = treeOf(text, maxNodes); p.Tree != nil {
			return
		}
		p.Kind, text = "text", text[:min(len(text), maxText)] // it claims to be JSON
	}
	p.Cut = p.Size > int64(len(text))
	if bytes.IndexByte(text, 0) >= 0 {
		p.Refused = "It is called a text and is none."
		return
	}
	for p.Cut && len(text) > 0 && !utf8.Valid(text[max(0, len(text)-utf8.UTFMax):]) && !utf8.RuneStart(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	p.Text = strings.ToValidUTF8(string(text), "\uFFFD")
}

// sandbox keeps a report in an origin of its own, which nobody else has: its scripts run, and can neither read cookies
// nor ask for anything, of us or of others.
const sandbox = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; " +
	"media-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// content serves an artifact for the preview: reports into their sandbox, pictures as pictures, all else as text.
func (ps *Pages) content(v *page.Visit) (any, error) {
	run, err := logs.RunNumber(v.R.PathValue("run"))
	if err != nil {
		return nil, err
	}
	name := v.R.PathValue("name")
	a, err := ps.find(v, v.R.PathValue("task"), run, name)
	if err != nil {
		return nil, err
	}
	if !a.StorageType.Stored() || !a.Present {
		return nil, fault.New(fault.NotFound, "The artifact %q has no content here.", name)
	}
	o, body, err := ps.Objects.Open(v.R.Context(), a.ObjectName())
	if err != nil {
		return nil, err
	}
	defer body.Close()
	contentType, limit := "text/plain; charset=utf-8", int64(maxPage)
	switch kindOf(name, a.ContentType) {
	case "html":
		contentType = "text/html; charset=utf-8"
	case "image":
		contentType, limit = picture(name, a.ContentType), maxPicure
	}
	if o.Size > limit {
		return nil, fault.New(fault.TooLarge, "The artifact %q is larger than what is shown in a page.", name)
	}
	h := v.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", sandbox)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("ETag", strconv.Quote(o.SHA256+contentType[:4]))
	http.ServeContent(v.W, v.R, "", time.Time{}, body)
	return nil, nil
}

func picture(name, contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && slices.Contains(pictures(), kind) {
		return kind
	}
	kind, _, _ = mime.ParseMediaType(mime.TypeByExtension(path.Ext(name)))
	return kind
}

func stateOf(s task.Status) (state, text string) {
	state = string(cell.MoveOf(&s).State)
	return state, prose.Word(state)
}
