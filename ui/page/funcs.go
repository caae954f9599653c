package page

import (
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/prose"
)

// funcs are what templates may call.
func funcs() template.FuncMap {
	return template.FuncMap{
		"short": func(revision string) string { return revision[:min(10, len(revision))] },
		"subject": func(message string) string {
			line, _, _ := strings.Cut(message, "\n")
			return line
		},
		"when":     when,
		"size":     sizeText,
		"states":   cell.States,
		"word":     prose.Word,
		"passages": passages,
		"past":     func(millis int64) bool { return time.UnixMilli(millis).Before(time.Now()) },
		// plainact reports whether an act on a task takes nothing but a press.
		"plainact": func(name string) bool {
			return slices.Contains([]string{"rerun", "cancel", "schedule", "retrigger"}, name)
		},
		"acticon": func(name string) string {
			return map[string]string{"rerun": "rerun", "cancel": "stop", "schedule": "play", "retrigger": "rerun"}[name]
		},
		"icon": func(file, name string, class ...string) iconView {
			return iconView{file, name, strings.Join(class, " ")}
		},
		"mark":   prose.Markdown,
		"has":    func(list []string, s string) bool { return slices.Contains(list, s) },
		"status": func(icons, state, text string) statusView { return statusView{icons, state, text} },
		"counts": func(icons string, list []cell.Tally) countsView { return countsView{icons, list} },
		"failure": func(icons string, err *push.Error, state push.State) failureView {
			return failureView{icons, err, state != push.Failed} // what was decided all the same is told, not warned of
		},
	}
}

// What the parts that several pages share are given.
type (
	iconView   struct{ File, Name, Class string }
	statusView struct{ Icons, State, Text string }
	countsView struct {
		Icons  string
		Counts []cell.Tally
	}
	failureView struct {
		Icons   string
		Error   *push.Error
		Ignored bool
	}
)

// passage is a part of an error's message; the parts in fences are code.
type passage struct {
	Code bool
	Text string
}

func passages(message string) []passage {
	var out []passage
	for i, text := range strings.Split(message, "```") {
		if text = strings.Trim(text, "\n"); text != "" {
			out = append(out, passage{i%2 == 1, text})
		}
	}
	return out
}

// stamp is an instant for a <time> element.
type stamp struct{ ISO, Text string }

func when(at any) stamp {
	var t time.Time
	switch at := at.(type) {
	case time.Time:
		t = at
	case *time.Time:
		t = *at
	case task.Time:
		t = at.Time
	case int64:
		t = time.UnixMilli(at)
	}
	t = t.UTC()
	return stamp{t.Format(time.RFC3339), t.Format("2 Jan 2006 15:04")}
}

func sizeText(n int64) string {
	if n < 0 {
		return ""
	}
	f := float64(n)
	for _, unit := range []string{"B", "KB", "MB", "GB"} {
		if f < 999.5 {
			if unit == "B" || f >= 10 {
				return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
			}
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		}
		f /= 1000
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " TB"
}
