package transform

import (
	"strconv"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// trace makes items keep values in their history, where that is wanted.
func (c *Config) trace(items []*Item) {
	if c.Shared == nil || !c.Trace {
		return
	}
	for _, it := range items {
		it.Trace()
	}
}

// Dropped records that the transform by made no task of the item under that label, and why.
func (c *Config) Dropped(it *Item, label, by, reason string) {
	if c.Drop == nil {
		return
	}
	p := it.origin.Provenance
	c.Drop(explain.Drop{Label: label, Kind: p.Kind, File: p.File, Line: p.Line, Entry: p.Entry, By: by, Reason: reason, Rule: it.rule})
}

// RuleAt notes where the rule stands that may drop the item.
func (it *Item) RuleAt(path ...string) {
	if file, line := it.Place(path, true); line > 0 {
		it.rule = file + ":" + strconv.Itoa(line)
	}
}

// dropAll records the items of which a step on all of them left nothing.
func (c *Config) dropAll(by string, before, after []*Item) {
	if c.Drop == nil {
		return
	}
	left := make(map[*Origin]bool, len(after))
	for _, it := range after {
		left[it.origin] = true
	}
	for _, it := range before {
		if !left[it.origin] {
			c.Dropped(it, it.Label(), by, it.note)
		}
	}
}
