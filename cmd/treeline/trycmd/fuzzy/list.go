package fuzzy

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
)

// List is a list of labels made ready to be searched. It is safe for concurrent use.
type List struct {
	labels []label
}

// Found is a label that matched.
type Found struct {
	Index int // in the labels that the list was made of
	Score int // the more, the better; labels of one query compare
}

// New makes a list; it does not keep the slice.
func New(labels []string) *List {
	l := &List{labels: make([]label, len(labels))}
	for i, text := range labels {
		l.labels[i] = newLabel(text)
	}
	return l
}

// All finds every label in its order, as an empty query does.
func (l *List) All() []Found {
	out := make([]Found, len(l.labels))
	for i := range out {
		out[i].Index = i
	}
	return out
}

// Find gives the labels that match, the best first: by score, then the shorter, then in the order of the
// list.
func (l *List) Find(q Query) []Found { return l.among(q, l.All()) }

// chunk is how many labels one goroutine looks at, at least.
const chunk = 512

// among gives those of the given that match.
func (l *List) among(q Query, given []Found) []Found {
	if q.Empty() {
		return l.All()
	}
	n := max(1, min(runtime.GOMAXPROCS(0), len(given)/chunk))
	parts := make([][]Found, n)
	var wait sync.WaitGroup
	for i := range n {
		part := given[i*len(given)/n : (i+1)*len(given)/n]
		wait.Go(func() {
			var s scratch
			out := make([]Found, 0, len(part))
			for _, f := range part {
				if score, ok := q.score(&l.labels[f.Index], &s); ok {
					out = append(out, Found{f.Index, score})
				}
			}
			parts[i] = out
		})
	}
	wait.Wait()
	out := slices.Concat(parts...)
	slices.SortFunc(out, func(a, b Found) int {
		return cmp.Or(b.Score-a.Score, len(l.labels[a.Index].text)-len(l.labels[b.Index].text), a.Index-b.Index)
	})
	return out
}

// Places gives the places of a label, counted in runes and ascending, that a query means: what is to be
// shown in another colour. There are none where the label does not match.
func (l *List) Places(q Query, index int) []int {
	var s scratch
	var out []int
	for _, group := range q.groups {
		for _, t := range group {
			if t.not {
				continue
			}
			if places, ok := t.places(&l.labels[index], &s); ok {
				out = append(out, places...)
				break
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Search finds again and again while a query is typed. It is for one goroutine.
type Search struct {
	list    *List
	exactly bool
	text    string
	query   Query
	found   []Found
}

// NewSearch begins with all labels. With exactly, see Parse.
func NewSearch(list *List, exactly bool) *Search {
	return &Search{list: list, exactly: exactly, found: list.All()}
}

// Find gives what list.Find gives. A query that begins with the last one is looked for only among what
// that one found, where that cannot differ.
func (s *Search) Find(text string) []Found {
	if text == s.text {
		return s.found
	}
	q := Parse(text, s.exactly)
	if longer(s.text, text) && s.query.narrow && q.narrow {
		s.found = s.list.among(q, s.found)
	} else {
		s.found = s.list.Find(q)
	}
	s.text, s.query = text, q
	return s.found
}

// Query is the query that was found last.
func (s *Search) Query() Query { return s.query }

// longer reports whether text is before and more, and finds at most what before finds.
func longer(before, text string) bool {
	if len(text) < len(before) || text[:len(before)] != before || len(text) > MaxQuery {
		return false
	}
	// A capital letter makes a word match less; the letter after a backslash or an operator may make it
	// another word.
	return before == "" || before[len(before)-1] != '\\' && before[len(before)-1] != '$'
}
