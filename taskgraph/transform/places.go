package transform

import (
	"slices"
	"strconv"
)

// ruleKeys are the keys of entries by which later stages decide.
func ruleKeys() []string {
	return []string{"always-target", "attributes", "if-dependencies", "optimization", "run-on-git-branches", "run-on-projects", "run-on-tasks-for", "shipping-phase", "when"}
}

// places says where these keys stand, as file:line. The map is shared by the items of the entry.
func (o *Origin) places() map[string]string {
	o.once.Do(func() {
		for _, key := range ruleKeys() {
			for _, layer := range slices.Backward(o.Layers) { // the later layer covers the earlier
				at := layer.Key(key)
				if !at.OK() {
					continue
				}
				if o.ruled == nil {
					o.ruled = map[string]string{}
				}
				o.ruled[key] = at.File() + ":" + strconv.Itoa(at.Line())
				break
			}
		}
	})
	return o.ruled
}
