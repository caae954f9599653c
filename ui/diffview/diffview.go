// Package diffview makes of a comparison of task graphs what its page shows. It reads the comparison as it is kept,
// and shows as much as a page can hold; the rest is in the file, which the page offers.
package diffview

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Bounds of the page.
const (
	maxLabels = 2000 // of tasks added, and of tasks removed
	maxGroups = 300  // of tasks that changed in the same way
	maxFew    = 20   // labels of one line
	maxValue  = 600  // characters of a value
)

// Page is a comparison.
type Page struct {
	Repository string // owner/name
	URL        string // of the repository; "" when it is no web address
	Pull       int
	Revision   string
	Base, Head string
	Stage      string
	Sets       []Set
	NewScopes  int
}

// Set is the comparison for one set of parameters.
type Set struct {
	Name           string
	Numbers        []Number
	Gained, Lost   []Scope
	Added, Removed List
	Changed        []Group
	ChangedTasks   int
	MoreGroups     int
	Path           []string // the chain of tasks that takes longest, after the change
	Same           bool
}

// Number is one before and after.
type Number struct{ Name, Before, After string }

// Moved reports whether it differs.
func (n Number) Moved() bool { return n.Before != n.After }

// Scope is one that tasks have on one side only.
type Scope struct {
	Scope, By string
	New       bool
}

// List are labels, as many as are shown.
type List struct {
	Labels []string
	All    int
}

// More is how many are not shown.
func (l List) More() int { return l.All - len(l.Labels) }

// Group are tasks that changed in the same way.
type Group struct {
	By      string
	Changes []Change
}

// Change is the value of a key before and after; "" stands for none.
type Change struct{ Key, Old, New string }

type size struct {
	Tasks               int      `json:"tasks"`
	Seconds             float64  `json:"seconds"`
	CriticalPathSeconds float64  `json:"criticalPathSeconds"`
	CriticalPath        []string `json:"criticalPath"`
}

type holding struct {
	Scope  string   `json:"scope"`
	Labels []string `json:"labels"`
	New    bool     `json:"new"`
}

type kept struct {
	Repository string `json:"repository"`
	URL        string `json:"url"`
	Pull       int    `json:"pull"`
	Revision   string `json:"revision"`
	Report     struct {
		Base  string `json:"base"`
		Head  string `json:"head"`
		Stage string `json:"stage"`
		Sets  []struct {
			Name    string   `json:"parameters"`
			Added   []string `json:"added"`
			Removed []string `json:"removed"`
			Changed []struct {
				Labels  []string `json:"labels"`
				Changes []struct {
					Key      string
					Old, New json.RawMessage
				} `json:"changes"`
			} `json:"changed"`
			Gained []holding `json:"scopesGained"`
			Lost   []holding `json:"scopesLost"`
			Base   size      `json:"base"`
			Head   size      `json:"head"`
		} `json:"sets"`
	} `json:"report"`
}

// Read makes the page of what was kept.
func Read(content []byte) (Page, error) {
	var k kept
	if err := json.Unmarshal(content, &k); err != nil {
		return Page{}, fault.Wrap(fault.Internal, err, "The comparison cannot be read.")
	}
	p := Page{Repository: k.Repository, Pull: k.Pull, Revision: k.Revision, Base: k.Report.Base, Head: k.Report.Head, Stage: k.Report.Stage}
	if strings.HasPrefix(k.URL, "https://") || strings.HasPrefix(k.URL, "http://") {
		p.URL = strings.TrimSuffix(k.URL, ".git")
	}
	fresh := map[string]bool{}
	for _, s := range k.Report.Sets {
		out := Set{
			Name: s.Name, Added: list(s.Added), Removed: list(s.Removed), Gained: scopes(s.Gained), Lost: scopes(s.Lost), Path: s.Head.CriticalPath,
			Same: len(s.Added)+len(s.Removed)+len(s.Changed) == 0,
			Numbers: []Number{
				{"Tasks", fmt.Sprint(s.Base.Tasks), fmt.Sprint(s.Head.Tasks)}, {"Machine time", span(s.Base.Seconds), span(s.Head.Seconds)},
				{"Critical path", span(s.Base.CriticalPathSeconds), span(s.Head.CriticalPathSeconds)},
			},
		}
		for _, g := range s.Gained {
			if g.New {
				fresh[g.Scope] = true
			}
		}
		for i, g := range s.Changed {
			out.ChangedTasks += len(g.Labels)
			if i >= maxGroups {
				out.MoreGroups++
				continue
			}
			one := Group{By: few(g.Labels)}
			for _, c := range g.Changes {
				one.Changes = append(one.Changes, Change{c.Key, value(c.Old), value(c.New)})
			}
			out.Changed = append(out.Changed, one)
		}
		p.Sets = append(p.Sets, out)
	}
	p.NewScopes = len(fresh)
	return p, nil
}

func list(labels []string) List {
	return List{Labels: labels[:min(len(labels), maxLabels)], All: len(labels)}
}

func scopes(in []holding) []Scope {
	var out []Scope
	for _, s := range in[:min(len(in), maxLabels)] {
		out = append(out, Scope{s.Scope, few(s.Labels), s.New})
	}
	return out
}

func few(labels []string) string {
	text := strings.Join(labels[:min(len(labels), maxFew)], ", ")
	if more := len(labels) - maxFew; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func value(v json.RawMessage) string {
	text := []rune(string(v))
	if len(text) > maxValue {
		return string(text[:maxValue]) + "…"
	}
	return string(text)
}

func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < 10*time.Minute {
		return d.String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
