// Package buttons says which actions a check run offers at GitHub, and reads what people write to start one. It is
// pure: what there is to offer comes from the task group's actions.json, what is wished from .taskcluster.yml on the
// default branch.
package buttons

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/templates"
)

// Place says where buttons are for.
type Place struct {
	For         string // templates.ForFailed and so on
	TaskGroupID string
	TaskID      string // "" for the aggregate
	// Bad is how many tasks of the group failed: without any there is nothing to run again.
	Bad int
	// Going is set while tasks of the group, or the task, are not resolved: without there is nothing to cancel.
	Going bool
}

// Button is a button that can be pressed.
type Button struct {
	templates.Button
	Label, Description, Identifier string // as GitHub takes them
}

// Offer is what a check run is to show.
type Offer struct {
	Buttons []Button
	// Forms are actions that were asked for and need an input first: their form is a page.
	Forms []Form
}

// Form is the page of an action that needs an input.
type Form struct{ Title, URL string }

// usual are the buttons of trees that do not say otherwise. Of a name with | the first that is there counts.
var usual = map[string][]string{
	templates.ForFailed:    {"rerun", "retrigger", "create-interactive|explain"},
	templates.ForRunning:   {"cancel"},
	templates.ForPassed:    {"retrigger", "create-interactive|explain"},
	templates.ForAggregate: {"rerun-failed", "cancel", "run-missing-tests"},
}

// words are how buttons are called. Where an action of the tree is not named here, its own title counts.
var words = map[string][2]string{
	"rerun":              {"Rerun", "Run the same task once more"},
	"rerun-failed":       {"Rerun failed", "Run the failed tasks once more"},
	"cancel":             {"Cancel", "Cancel what is not done"},
	"explain":            {"Explain", "Say why the task is as it is"},
	"retrigger":          {"Retrigger", "Make a copy of the task"},
	"create-interactive": {"Loaner", "Make a copy with a shell in it"},
	"run-missing-tests":  {"Run all", "Run the tests that were left out"},
}

// Wished are the buttons that the file asks for, or the usual ones.
func Wished(file *templates.File, place Place, there []actions.Offer) []templates.Button {
	if file != nil {
		if list, ok := file.Extras.Buttons[place.For]; ok {
			return list
		}
	}
	var out []templates.Button
	for _, names := range usual[place.For] {
		for _, name := range strings.Split(names, "|") {
			b := templates.Button{Action: name}
			if templates.OwnButton(name) {
				b = templates.Button{Own: name}
			}
			if b.Own != "" || slices.ContainsFunc(there, func(o actions.Offer) bool { return o.Name == name && o.Allowed }) {
				out = append(out, b)
				break
			}
		}
	}
	return out
}

// Choose says which of the wished buttons there can be: Treeline's own where they have something to do, and actions
// that the tree has and the repository's role may start. rootURL is where forms are.
func Choose(wished []templates.Button, place Place, there []actions.Offer, rootURL string) Offer {
	var out Offer
	for _, w := range wished {
		b := Button{Button: w, Identifier: w.Identifier()}
		title, about := w.Name(), ""
		if w.Own != "" {
			if !place.has(w.Own) || w.Own == "explain" && len(there) == 0 { // without a list of actions, nothing was decided
				continue
			}
		} else {
			i := slices.IndexFunc(there, func(o actions.Offer) bool { return o.Name == w.Action })
			if i < 0 || !there[i].Allowed {
				continue
			}
			title, about = there[i].Title, there[i].Description
			if NeedsForm(there[i].Schema, w.Input) {
				out.Forms = append(out.Forms, Form{cmp.Or(w.Label, title), FormURL(rootURL, place.TaskGroupID, place.TaskID, w.Action)})
				continue
			}
		}
		b.Label = fit(cmp.Or(w.Label, words[w.Name()][0], title), templates.MaxLabel)
		b.Description = fit(cmp.Or(w.Description, words[w.Name()][1], firstLine(about), title), templates.MaxDescription)
		if len(out.Buttons) < templates.MaxButtons {
			out.Buttons = append(out.Buttons, b)
		}
	}
	return out
}

// has reports whether one of Treeline's own buttons has something to do.
func (p Place) has(own string) bool {
	switch own {
	case "rerun":
		return p.TaskID != "" && p.For != templates.ForRunning
	case "rerun-failed":
		return p.TaskID == "" && p.Bad > 0
	case "cancel":
		return p.Going
	}
	return p.TaskID != ""
}

// Find returns the button with that identifier.
func (o Offer) Find(identifier string) (Button, bool) {
	for _, b := range o.Buttons {
		if b.Identifier == identifier {
			return b, true
		}
	}
	return Button{}, false
}

// NeedsForm reports whether an action with that schema cannot be started with what it is given: a property that is
// required has no default.
func NeedsForm(schema, input map[string]any) bool {
	required, _ := schema["required"].([]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range required {
		key, _ := name.(string)
		property, _ := properties[key].(map[string]any)
		_, given := input[key]
		_, usual := property["default"]
		if !given && !usual {
			return true
		}
	}
	_, usual := schema["default"]
	if schema["type"] != nil && schema["type"] != "object" && !usual {
		return true
	}
	// A list of things to do is one to fill in, whether the schema says so or not.
	for name, v := range properties {
		property, _ := v.(map[string]any)
		_, given := input[name]
		_, usual := property["default"]
		if property["type"] == "array" && !given && !usual {
			return true
		}
	}
	return false
}

// FormURL is the page where an action's input is filled in.
func FormURL(rootURL, group, task, action string) string {
	at := fmt.Sprintf("%s/actions/%s/%s", rootURL, group, url.PathEscape(action))
	if task != "" {
		at += "?task=" + task
	}
	return at
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// fit shortens a text to so many characters.
func fit(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return strings.TrimSpace(string(r[:most-1])) + "…"
	}
	return s
}
