package transform

import (
	"fmt"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// conditionOwner owns compiled conditions among what a generation remembers.
type conditionOwner struct{}

// Condition returns the step before all transforms: it drops the items whose "if" does not hold.
func Condition() Transform {
	t := New("if", condition)
	t.Narrow = true
	return t
}

func condition(c *Config, it *Item, emit func(*Item)) error {
	said, ok := it.values["if"]
	if !ok {
		emit(it)
		return nil
	}
	it.Delete("if")
	holds, ok := said.(bool)
	if text, isText := said.(string); isText {
		v, err := c.Memo(conditionOwner{}, text, func() (any, error) { return cond.Compile(text) })
		if err != nil { // the kind's files were checked before; this is of a transform or loader of the tree
			return it.Errorf("if", "%v", err)
		}
		if holds, err = v.(*cond.Condition).Eval(c.Conditions, c.Kind, it.String("name"), it.values); err != nil {
			return it.Errorf("if", "%v", err)
		}
	} else if !ok {
		return it.Errorf("if", "must be a condition or true or false, not %s", value.Kind(said))
	}
	if holds {
		emit(it)
		return nil
	}
	it.Note(fmt.Sprintf("%v", said))
	it.RuleAt("if")
	return nil
}
