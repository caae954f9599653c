package transform

// Unique drops items whose label a later item has too: such tasks would be one. It warns of
// each, and in strict generations fails them, since a task that gets lost unseen is hardly ever
// meant (taskgraph-map 28, trap 2).
func Unique(c *Config, items []*Item) []*Item {
	last := make(map[string]int, len(items))
	for i, it := range items {
		last[it.String("label")] = i
	}
	if len(last) == len(items) {
		return items
	}
	out := make([]*Item, 0, len(last))
	for i, it := range items {
		label := it.String("label")
		if winner := last[label]; winner != i {
			c.WarnAt(it, "", "several tasks of the kind %q have the label %s; only the last one stays. A matrix or chunks need a name for each task", c.Kind, label)
			if it.Err() == nil {
				continue
			}
		}
		out = append(out, it)
	}
	return out
}
