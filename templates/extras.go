package templates

import (
	"fmt"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// readExtras reads the key treeline.
func (f *File) readExtras() error {
	v, ok := f.data.Get("treeline")
	if !ok {
		return nil
	}
	o, ok := v.(*jsone.Object)
	if !ok {
		return f.complain(f.lineOf("treeline"), "treeline", "treeline must be a mapping with cancelOlderOnBranches, cancelOnClose, buttons, mayStart, graphDiff, approveNewScopes or reporting")
	}
	if err := f.checkKeys(o, steps("treeline"), "treeline", "cancelOlderOnBranches", "cancelOnClose", "buttons", "mayStart", "graphDiff", "approveNewScopes", "reporting"); err != nil {
		return err
	}
	if err := f.readButtons(o); err != nil {
		return err
	}
	if err := f.readGraphDiff(o); err != nil {
		return err
	}
	if err := f.readReporting(o); err != nil {
		return err
	}
	if v, ok := o.Get("approveNewScopes"); ok {
		role, _ := v.(string)
		if role != "maintain" && role != "admin" {
			return f.complain(f.lineOf("treeline", "approveNewScopes"), "treeline.approveNewScopes", "approveNewScopes must be maintain or admin: who approves new scopes")
		}
		f.Extras.ApproveNewScopes = role
	}
	if v, ok := o.Get("cancelOnClose"); ok {
		if f.Extras.CancelClosed, ok = v.(bool); !ok {
			return f.complain(f.lineOf("treeline", "cancelOnClose"), "treeline.cancelOnClose", "cancelOnClose must be true or false")
		}
	}
	v, ok = o.Get("cancelOlderOnBranches")
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	for i, item := range list {
		pattern, isText := item.(string)
		if !isText || pattern == "" {
			return f.complain(f.lineOf("treeline", "cancelOlderOnBranches"), fmt.Sprintf("treeline.cancelOlderOnBranches[%d]", i), "a branch must be a name, in which * stands for anything")
		}
		f.Extras.CancelBranches = append(f.Extras.CancelBranches, pattern)
	}
	if !ok {
		return f.complain(f.lineOf("treeline", "cancelOlderOnBranches"), "treeline.cancelOlderOnBranches", "cancelOlderOnBranches must be a list of names of branches")
	}
	return nil
}
