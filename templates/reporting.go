package templates

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// Reporting says how a forge is told of builds beyond the file's key reporting.
type Reporting struct {
	Named bool     // By is given: it counts and not the key reporting
	By    []string // checks, statuses; none: the forge is told nothing
	Name  string   // of the check that stands for all; "" for the usual
	Tasks string   // what other checks there are: auto, task, group, none; "" for auto
}

// MaxReportName is how many characters the name of the check that stands for all has at most.
const MaxReportName = 60

// Checks reports whether a forge is told by check runs.
func (f *File) Checks() bool {
	if r := f.Extras.Reporting; r.Named {
		return slices.Contains(r.By, "checks")
	}
	return f.Reporting == "checks-v1"
}

// Statuses reports whether a forge is told by commit statuses.
func (f *File) Statuses() bool {
	if r := f.Extras.Reporting; r.Named {
		return slices.Contains(r.By, "statuses")
	}
	return f.Reporting == ""
}

// readReporting reads treeline.reporting.
func (f *File) readReporting(in *jsone.Object) error {
	v, ok := in.Get("reporting")
	if !ok {
		return nil
	}
	complain := func(key, format string, args ...any) error {
		at := strings.Trim("treeline.reporting."+key, ".")
		return f.complain(f.lineOf(strings.Split(at, ".")...), at, format, args...)
	}
	o, ok := v.(*jsone.Object)
	if !ok {
		return complain("", "reporting must be a mapping with by, name or tasks")
	}
	if err := f.checkKeys(o, steps("treeline", "reporting"), "treeline.reporting", "by", "name", "tasks"); err != nil {
		return err
	}
	r := &f.Extras.Reporting
	if v, ok := o.Get("by"); ok {
		list, isList := v.([]any)
		if !isList {
			return complain("by", "by must be a list of checks and statuses, or empty to tell nothing")
		}
		r.Named = true
		for _, item := range list {
			by, _ := item.(string)
			if by != "checks" && by != "statuses" {
				return complain("by", "by lists checks and statuses, and nothing else")
			}
			r.By = append(r.By, by)
		}
	}
	if v, ok := o.Get("name"); ok {
		r.Name, _ = v.(string)
		r.Name = strings.TrimSpace(r.Name)
		if n := len([]rune(r.Name)); n == 0 || n > MaxReportName || strings.ContainsAny(r.Name, "\r\n") {
			return complain("name", "name must be a line of 1 to %d characters: what branches require as a check", MaxReportName)
		}
	}
	if v, ok := o.Get("tasks"); ok {
		r.Tasks, _ = v.(string)
		if !slices.Contains([]string{"auto", "task", "group", "none"}, r.Tasks) {
			return complain("tasks", "tasks must be auto, task, group or none")
		}
	}
	return nil
}

// ReportingOf reads of a file that may be wrong in any way how its builds are told of, as far as that can be read: so
// that what is wrong can be told in the same way.
func ReportingOf(source []byte) *File {
	f := &File{}
	var said struct {
		Reporting any
		Treeline  struct {
			Reporting struct {
				By   any
				Name any
			}
		}
	}
	if err := yaml.Unmarshal(source, &said); err != nil { // what was read before the mistake counts
		f.Reporting = ""
		if strings.Contains(string(source), "checks-v1") {
			f.Reporting = "checks-v1"
		}
		return f
	}
	if said.Reporting == "checks-v1" {
		f.Reporting = "checks-v1"
	}
	if list, ok := said.Treeline.Reporting.By.([]any); ok {
		f.Extras.Reporting.Named = true
		for _, item := range list {
			if by, ok := item.(string); ok {
				f.Extras.Reporting.By = append(f.Extras.Reporting.By, by)
			}
		}
	}
	if name, ok := said.Treeline.Reporting.Name.(string); ok && len([]rune(name)) <= MaxReportName {
		f.Extras.Reporting.Name = strings.TrimSpace(name)
	}
	return f
}
