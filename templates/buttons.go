package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// Button is an action that check runs offer.
type Button struct {
	// Own is one of Treeline's own: rerun, rerun-failed, cancel or explain. Else Action is an action of the tree.
	Own, Action        string
	Label, Description string         // as people see them; "" takes those of the action
	Input              map[string]any // what the action is given; nil: nothing, its defaults count
	Line               int            // where the file asks for it
}

// Name is the button's action.
func (b Button) Name() string {
	if b.Own != "" {
		return b.Own
	}
	return b.Action
}

// Limits of GitHub's for buttons (vcs-integration 1.5).
const (
	MaxButtons     = 3
	MaxLabel       = 20 // characters
	MaxDescription = 40
	MaxIdentifier  = 20
)

// Identifier tells a button from the others of its check run. It follows from what the button does and not from how it
// is called: a name that fits, or its beginning and a digest.
func (b Button) Identifier() string {
	if len(b.Name()) <= MaxIdentifier && b.Input == nil && (b.Own != "" || !OwnButton(b.Action)) {
		return b.Name()
	}
	text, err := json.Marshal([]any{b.Own, b.Action, b.Input})
	if err != nil { // of a value that no YAML makes
		text = []byte(b.Own + "\x00" + b.Action)
	}
	sum := sha256.Sum256(text)
	return strings.ToValidUTF8(b.Name()[:min(len(b.Name()), MaxIdentifier-9)], "") + "-" + hex.EncodeToString(sum[:4])
}

// OwnButton reports whether a name is that of one of Treeline's own buttons.
func OwnButton(name string) bool { return slices.Contains(ownButtons, name) }

var ownButtons = []string{"rerun", "rerun-failed", "cancel", "explain"}

// The check runs that buttons are for.
const (
	ForFailed    = "failed"    // a task that failed
	ForRunning   = "running"   // a task that is not done
	ForPassed    = "passed"    // a task that is green
	ForAggregate = "aggregate" // a whole build
)

var buttonPlaces = []string{ForFailed, ForRunning, ForPassed, ForAggregate}

// mayStartRoles are the roles at GitHub that can be asked for: those who have less may never start anything.
var mayStartRoles = []string{"write", "maintain", "admin"}

// readButtons reads treeline.buttons and treeline.mayStart.
func (f *File) readButtons(treeline *jsone.Object) error {
	if v, ok := treeline.Get("buttons"); ok {
		o, isMap := v.(*jsone.Object)
		if !isMap {
			return f.complain(f.lineOf("treeline", "buttons"), "treeline.buttons", "buttons must be a mapping with any of %s, each a list of actions", strings.Join(buttonPlaces, ", "))
		}
		if err := f.checkKeys(o, steps("treeline", "buttons"), "treeline.buttons", buttonPlaces...); err != nil {
			return err
		}
		f.Extras.Buttons = map[string][]Button{}
		for place, v := range o.All() {
			list, err := f.readButtonList(place, v)
			if err != nil {
				return err
			}
			f.Extras.Buttons[place] = list
		}
	}
	v, ok := treeline.Get("mayStart")
	if !ok {
		return nil
	}
	o, ok := v.(*jsone.Object)
	if !ok {
		return f.complain(f.lineOf("treeline", "mayStart"), "treeline.mayStart", "mayStart must be a mapping of actions to one of %s, such as release-promotion: admin", strings.Join(mayStartRoles, ", "))
	}
	f.Extras.MayStart = map[string]string{}
	for name, v := range o.All() {
		role, _ := v.(string)
		if !slices.Contains(mayStartRoles, role) {
			return f.complain(f.lineOf("treeline", "mayStart", name), "treeline.mayStart."+name, "who may start %s must be one of %s", name, strings.Join(mayStartRoles, ", "))
		}
		f.Extras.MayStart[name] = role
	}
	return nil
}

func (f *File) readButtonList(place string, v any) ([]Button, error) {
	path := append(steps("treeline", "buttons"), steps(place)...)
	list, ok := v.([]any)
	if !ok || len(list) > MaxButtons {
		return nil, f.complain(f.lineAt(path), "treeline.buttons."+place, "%s must be a list of at most %d actions: GitHub shows no more", place, MaxButtons)
	}
	out, seen := make([]Button, 0, len(list)), map[string]bool{}
	for i, item := range list {
		at := append(slices.Clone(path), jsone.Step{Index: i})
		b, err := f.readButton(at, fmt.Sprintf("treeline.buttons.%s[%d]", place, i), item)
		if err != nil {
			return nil, err
		}
		if b.Own == "rerun-failed" && place != ForAggregate || b.Own == "rerun" && place == ForAggregate || b.Own == "explain" && place == ForAggregate {
			return nil, f.complain(b.Line, fmt.Sprintf("treeline.buttons.%s[%d]", place, i), "%s is not for %s: rerun and explain are for a task, rerun-failed is for aggregate", b.Own, place)
		}
		if seen[b.Identifier()] {
			return nil, f.complain(b.Line, fmt.Sprintf("treeline.buttons.%s[%d]", place, i), "%s is there twice with the same input; leave one out", b.Name())
		}
		seen[b.Identifier()] = true
		out = append(out, b)
	}
	return out, nil
}

// readButton reads a name, or a mapping that says more.
func (f *File) readButton(path []jsone.Step, where string, item any) (Button, error) {
	b := Button{Line: f.lineAt(path)}
	if name, ok := item.(string); ok && name != "" {
		if b.Action = name; OwnButton(name) {
			b.Own, b.Action = name, ""
		}
		return b, nil
	}
	o, ok := item.(*jsone.Object)
	if !ok {
		return b, f.complain(b.Line, where, "a button must be the name of an action, or a mapping with action or own")
	}
	if err := f.checkKeys(o, path, "a button", "action", "own", "label", "description", "input"); err != nil {
		return b, err
	}
	for _, key := range []struct {
		name string
		into *string
		most int
	}{{"action", &b.Action, 255}, {"own", &b.Own, 255}, {"label", &b.Label, MaxLabel}, {"description", &b.Description, MaxDescription}} {
		v, ok := o.Get(key.name)
		if !ok {
			continue
		}
		text, isText := v.(string)
		if !isText || text == "" || len([]rune(text)) > key.most {
			return b, f.complain(f.lineAt(append(slices.Clone(path), steps(key.name)...)), where+"."+key.name, "%s must be a text of at most %d characters", key.name, key.most)
		}
		*key.into = text
	}
	switch {
	case (b.Own == "") == (b.Action == ""):
		return b, f.complain(b.Line, where, "a button has either action, the name of an action of the tree, or own, one of %s", strings.Join(ownButtons, ", "))
	case b.Own != "" && !OwnButton(b.Own):
		return b, f.complain(b.Line, where+".own", "Treeline has no button %q of its own; there are %s. An action of the tree is named with action", b.Own, strings.Join(ownButtons, ", "))
	}
	if v, ok := o.Get("input"); ok {
		input, isMap := v.(*jsone.Object)
		if !isMap || b.Own != "" {
			return b, f.complain(f.lineAt(append(slices.Clone(path), steps("input")...)), where+".input", "input must be a mapping, for an action of the tree")
		}
		b.Input = maps.Clone(input.Map())
	}
	return b, nil
}
