package indexapi

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

// entry is an index entry on the wire.
type entry struct {
	Namespace string          `json:"namespace"`
	TaskID    string          `json:"taskId"`
	Rank      float64         `json:"rank"`
	Data      json.RawMessage `json:"data"`
	Expires   task.Time       `json:"expires"`
}

func shown(e index.Entry) entry {
	return entry{Namespace: e.Namespace, TaskID: e.TaskID, Rank: e.Rank, Data: e.Data, Expires: task.At(e.Expires)}
}

// entryPage is a page of entries.
type entryPage struct {
	Tasks             []entry `json:"tasks"`
	ContinuationToken string  `json:"continuationToken,omitempty"`
}

func pageOf(list []index.Entry, token string) entryPage {
	p := entryPage{Tasks: make([]entry, len(list)), ContinuationToken: token}
	for i, e := range list {
		p.Tasks[i] = shown(e)
	}
	return p
}

func (d *door) findTask(ctx context.Context, r *web.Request) (any, error) {
	e, err := d.index.Find(ctx, r.Params["indexPath"])
	if err != nil {
		return nil, err
	}
	return shown(e), nil
}

// dotted is what findTasksAtIndex takes for a path.
var dotted = regexp.MustCompile(`^[a-zA-Z0-9_!~*'()%-]+(\.[a-zA-Z0-9_!~*'()%-]+)+$`)

func (d *door) findTasksAtIndex(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Indexes []string `json:"indexes"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	for _, p := range in.Indexes {
		if !dotted.MatchString(p) || len(p) > index.MaxPath {
			return nil, fault.New(fault.Invalid, "%.300q is no index path: it must be words of letters, digits and _!~*'()%%- with dots between", p)
		}
	}
	if err := r.Authorize(ctx, map[string]any{"indexPaths": in.Indexes}); err != nil {
		return nil, err
	}
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	slices.Sort(in.Indexes)
	paths, next, err := slicePage(slices.Compact(in.Indexes), limit, token)
	if err != nil {
		return nil, err
	}
	found, err := d.index.FindMany(ctx, paths)
	if err != nil {
		return nil, err
	}
	list := make([]index.Entry, 0, len(found))
	for _, p := range paths {
		if e, ok := found[p]; ok {
			list = append(list, e)
		}
	}
	return pageOf(list, next), nil
}

// slicePage returns the page of sorted paths behind token, and the token of the page after it.
func slicePage(paths []string, limit int, token string) ([]string, string, error) {
	var after string
	if web.ReadToken(token, &after) {
		i, found := slices.BinarySearch(paths, after)
		if found {
			i++
		}
		paths = paths[i:]
	}
	if len(paths) <= limit {
		return paths, "", nil
	}
	next, err := web.Token(paths[limit-1])
	return paths[:limit], next, err
}

func (d *door) findArtifact(ctx context.Context, r *web.Request) (any, error) {
	e, err := d.index.Find(ctx, r.Params["indexPath"])
	if err != nil {
		return nil, err
	}
	name := r.Params["name"]
	location := "/api/queue/v1/task/" + e.TaskID + "/artifacts/" + url.PathEscape(name)
	if d.locate != nil {
		if location, err = d.locate(ctx, e.TaskID, name); err != nil {
			return nil, err
		}
	}
	return web.Redirect{Location: location, Body: map[string]string{"url": location}}, nil
}

func (d *door) listTasks(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := page(r)
	if err != nil {
		return nil, err
	}
	var after string
	web.ReadToken(token, &after)
	list, err := d.index.ListTasks(ctx, r.Params["namespace"], after, limit+1)
	if err != nil || len(list) <= limit {
		return pageOf(list, ""), err
	}
	list = list[:limit]
	last := list[limit-1].Namespace
	next, err := web.Token(last[strings.LastIndexByte(last, '.')+1:])
	return pageOf(list, next), err
}

// namespace is a namespace on the wire.
type namespace struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Expires   task.Time `json:"expires"`
}

// namespacePage is a page of namespaces.
type namespacePage struct {
	Namespaces        []namespace `json:"namespaces"`
	ContinuationToken string      `json:"continuationToken,omitempty"`
}

// page returns the limit and the token of a listing, from the query or, by POST, from the body.
func page(r *web.Request) (limit int, token string, err error) {
	if r.Body == nil {
		return r.Page()
	}
	in := struct {
		Limit             float64 `json:"limit"` // 1 to 1000, says the schema; 10.0 is an integer too
		ContinuationToken string  `json:"continuationToken"`
	}{Limit: 1000}
	err = r.Decode(&in)
	return int(in.Limit), in.ContinuationToken, err
}

func (d *door) listNamespaces(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := page(r)
	if err != nil {
		return nil, err
	}
	var after string
	web.ReadToken(token, &after)
	list, err := d.index.ListNamespaces(ctx, r.Params["namespace"], after, limit+1)
	if err != nil {
		return nil, err
	}
	out := namespacePage{Namespaces: []namespace{}}
	if len(list) > limit {
		list = list[:limit]
		if out.ContinuationToken, err = web.Token(list[limit-1].Name); err != nil {
			return nil, err
		}
	}
	for _, n := range list {
		out.Namespaces = append(out.Namespaces, namespace{n.Namespace, n.Name, task.At(n.Expires)})
	}
	return out, nil
}

func (d *door) insertTask(ctx context.Context, r *web.Request) (any, error) {
	var in entry
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	e, err := d.index.Insert(ctx, index.Entry{
		Namespace: r.Params["namespace"], TaskID: in.TaskID, Rank: in.Rank, Data: in.Data, Expires: in.Expires.Time,
	})
	if err != nil {
		return nil, err
	}
	return shown(e), nil
}

func (d *door) deleteTask(ctx context.Context, r *web.Request) (any, error) {
	if err := d.index.Delete(ctx, r.Params["namespace"]); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}
