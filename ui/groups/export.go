package groups

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

// export sends the tasks of a group as a file: a table, or what the Firefox Profiler opens.
func (ps *Pages) export(v *page.Visit) (any, error) {
	id, file := v.R.PathValue("group"), v.R.PathValue("file")
	if err := v.Allow(seeGroup(id)); err != nil {
		return nil, err
	}
	if file != "tasks.csv" && file != "profile.json" {
		return nil, fault.New(fault.NotFound, "A group can be had as tasks.csv and as profile.json, not as %q.", file)
	}
	cells, _, err := cell.List(v.R.Context(), ps.Queue, id)
	if err != nil {
		return nil, err
	}
	needs, err := ps.Queue.Needs(v.R.Context(), id)
	if err != nil {
		return nil, err
	}
	kinds := make(map[string]string, len(needs))
	for _, n := range needs {
		kinds[n.TaskID] = n.Kind
	}
	v.W.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", id+"-"+file))
	v.W.Header().Set("Cache-Control", "no-store")
	if file == "tasks.csv" {
		v.W.Header().Set("Content-Type", "text/csv; charset=utf-8")
		err = writeCSV(csv.NewWriter(v.W), cells, kinds)
	} else {
		v.W.Header().Set("Content-Type", "application/json; charset=utf-8")
		err = json.NewEncoder(v.W).Encode(profileOf(id, cells, kinds, time.Now()))
	}
	if err != nil {
		v.Kit.Log.DebugContext(v.R.Context(), "an export was not sent whole", "group", id, "error", err)
	}
	return nil, nil // the file has been written
}

func writeCSV(w *csv.Writer, cells []cell.Cell, kinds map[string]string) error {
	err := w.Write([]string{"taskId", "name", "kind", "queue", "state", "reason", "runs", "scheduled", "started", "ended", "waitedSeconds", "ranSeconds"})
	for i := range cells {
		c := &cells[i]
		stamp := func(ms int64) string {
			if ms == 0 {
				return ""
			}
			return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
		}
		seconds := func(from, to int64) string {
			if from == 0 || to == 0 {
				return ""
			}
			return strconv.FormatFloat(float64(to-from)/1000, 'f', 3, 64)
		}
		err = errors.Join(err, w.Write([]string{
			c.ID, harmless(c.Name), harmless(kinds[c.ID]), c.Queue, c.State, c.Reason, strconv.Itoa(c.Runs),
			stamp(c.Scheduled), stamp(c.Started), stamp(c.Ended), seconds(c.Scheduled, c.Started), seconds(c.Started, c.Ended),
		}))
	}
	w.Flush()
	return errors.Join(err, w.Error())
}

// harmless keeps a spreadsheet from taking a name for a formula.
func harmless(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}

// object is a JSON object of the profile, whose many tables have no rows here.
type object = map[string]any

// profileOf makes a profile in the processed format of the Firefox Profiler: a thread for each queue, in it a marker
// for each task.
func profileOf(id string, cells []cell.Cell, kinds map[string]string, now time.Time) object {
	start := statsOf(cells, now).First
	byQueue := map[string][]*cell.Cell{}
	names := []string{}
	for i := range cells {
		c := &cells[i]
		if byQueue[c.Queue] == nil {
			names = append(names, c.Queue)
		}
		byQueue[c.Queue] = append(byQueue[c.Queue], c)
	}
	slices.Sort(names)
	threads := make([]object, 0, len(names))
	for i, name := range names {
		threads = append(threads, threadOf(i, name, byQueue[name], kinds, start, now))
	}
	field := func(key, label, format string) object { return object{"key": key, "label": label, "format": format} }
	return object{
		"meta": object{
			"interval": 1, "startTime": start, "processType": 0, "product": "Treeline task group " + id, "stackwalk": 0, "debug": false,
			"version": 29, "preprocessedProfileVersion": 47, "symbolicationNotSupported": true, "usesOnlyOneStackType": true,
			"categories": []object{{"name": "Other", "color": "grey", "subcategories": []string{"Other"}}, {"name": "Passed", "color": "green", "subcategories": []string{"Other"}}, {"name": "Failed", "color": "red", "subcategories": []string{"Other"}}},
			"markerSchema": []object{{
				"name": "Task", "display": []string{"marker-chart", "marker-table", "timeline-overview"}, "tooltipLabel": "{marker.data.name}", "chartLabel": "{marker.data.name}", "tableLabel": "{marker.data.name}",
				"data": []object{field("name", "Task", "string"), field("taskId", "Id", "string"), field("kind", "Kind", "string"), field("state", "State", "string"), field("waited", "Waited", "duration")},
			}},
		},
		"libs": []object{}, "threads": threads, "pages": []object{},
	}
}

func threadOf(n int, name string, cells []*cell.Cell, kinds map[string]string, start int64, now time.Time) object {
	data, names, from, to, phase, category := []object{}, []int{}, []any{}, []any{}, []int{}, []int{}
	for _, c := range cells {
		waited, _ := times(&c.Move, now)
		data = append(data, object{"type": "Task", "name": c.Name, "taskId": c.ID, "kind": kinds[c.ID], "state": c.State, "waited": waited})
		names = append(names, 0)
		category = append(category, map[string]int{"passed": 1, "failed": 2, "exception": 2}[c.State])
		switch {
		case c.Started == 0: // a moment: when it could have run
			from, to, phase = append(from, max(0, c.Scheduled-start)), append(to, nil), append(phase, 0)
		case c.Ended == 0:
			from, to, phase = append(from, c.Started-start), append(to, now.UnixMilli()-start), append(phase, 1)
		default:
			from, to, phase = append(from, c.Started-start), append(to, c.Ended-start), append(phase, 1)
		}
	}
	empty := func(columns ...string) object {
		t := object{"length": 0}
		for _, c := range columns {
			t[c] = []int{}
		}
		return t
	}
	return object{
		"name": name, "processType": "default", "processName": name, "processStartupTime": 0, "processShutdownTime": nil, "registerTime": 0, "unregisterTime": nil,
		"pausedRanges": []object{}, "isMainThread": true, "pid": strconv.Itoa(n), "tid": n, "showMarkersInTimeline": true,
		"markers":     object{"data": data, "name": names, "startTime": from, "endTime": to, "phase": phase, "category": category, "length": len(data)},
		"stringArray": []string{"Task"},
		"samples":     object{"stack": []int{}, "time": []int{}, "weight": nil, "weightType": "samples", "length": 0},
		"stackTable":  empty("frame", "prefix", "category", "subcategory"),
		"frameTable":  empty("address", "inlineDepth", "category", "subcategory", "func", "nativeSymbol", "innerWindowID", "implementation", "line", "column", "optimizations"),
		"funcTable":   empty("isJS", "relevantForJS", "name", "resource", "fileName", "lineNumber", "columnNumber"), "resourceTable": empty("lib", "name", "host", "type"), "nativeSymbols": empty("libIndex", "address", "name", "functionSize"),
	}
}
