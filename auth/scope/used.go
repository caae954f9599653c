package scope

import "slices"

// Used returns the held scopes by which want is satisfied, each once and at most max of them, for
// logs: of a list of alternatives the first that holds. Nothing is returned for what is not satisfied.
func Used(have []string, want Expr, max int) []string {
	used, _ := want.used(have, nil, max)
	return used
}

// used appends to already the scopes that satisfy the expression, and tells whether it is satisfied.
func (e Expr) used(have, already []string, max int) ([]string, bool) {
	switch e.op {
	case opLeaf:
		at := slices.IndexFunc(have, func(h string) bool { return covers(h, e.leaf) })
		if at >= 0 && len(already) < max && !slices.Contains(already, have[at]) {
			already = append(already, have[at])
		}
		return already, at >= 0
	case opAll:
		all := already
		for _, sub := range e.list {
			if len(all) >= max {
				break // enough to know; that the rest holds was checked before
			}
			var ok bool
			if all, ok = sub.used(have, all, max); !ok {
				return already, false
			}
		}
		return all, true
	case opAny:
		for _, sub := range e.list {
			if list, ok := sub.used(have, already, max); ok {
				return list, true
			}
		}
	}
	return already, false
}
