package fuzzy

import (
	"slices"
	"unicode"
)

// What places are worth. A match is worth the more the more of its letters begin words or follow each
// other, and the fewer and shorter its gaps are.
const (
	worthLetter = 16
	worthStart  = 10 // beginning of the label
	worthWord   = 8  // after a sign such as - or /
	worthTurn   = 5  // where letters become digits, or small letters capital ones
	worthNext   = 6  // right after the letter before
	costGap     = 3  // for a gap, and
	costSkipped = 1  // for each letter in it after the first
)

// label is a label made ready.
type label struct {
	text   []rune
	folded []rune
	worth  []int8 // of each place
	letter uint64
}

func newLabel(text string) label {
	l := label{text: []rune(text)}
	l.folded = folded(l.text)
	l.letter = set(l.folded)
	l.worth = make([]int8, len(l.text))
	for i, r := range l.text {
		switch {
		case i == 0:
			l.worth[i] = worthStart
		case !wordy(l.text[i-1]) && wordy(r):
			l.worth[i] = worthWord
		case unicode.IsLower(l.text[i-1]) && unicode.IsUpper(r), unicode.IsDigit(r) && !unicode.IsDigit(l.text[i-1]):
			l.worth[i] = worthTurn
		}
	}
	return l
}

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// scratch is memory that one goroutine uses again.
type scratch struct {
	ends []int32 // of a row: what the letters so far are worth when the last of them stands here
	from []int32 // of all rows: in which column the letter before stands
}

// score is what the label is worth to the query; false when it does not match.
func (q Query) score(l *label, s *scratch) (int, bool) {
	sum := 0
	for _, group := range q.groups {
		best, any := 0, false
		for _, t := range group {
			if score, ok := t.score(l, s); ok && (!any || score > best) {
				best, any = score, true
			}
		}
		if !any {
			return 0, false
		}
		sum += best
	}
	return sum, true
}

// score is what the label is worth to the term; one that must not match is worth nothing.
func (t term) score(l *label, s *scratch) (int, bool) {
	if t.not {
		_, found := t.find(l)
		return 0, !found
	}
	if t.letter&^l.letter != 0 || len(t.text) > len(l.text) {
		return 0, false
	}
	if t.kind == inOrder {
		return t.align(l, s, nil)
	}
	at, found := t.find(l)
	if !found {
		return 0, false
	}
	return t.run(l, at), true
}

// run is the worth of the letters of t standing together at a place.
func (t term) run(l *label, at int) int {
	score := worthLetter + 2*int(l.worth[at])
	for i := 1; i < len(t.text); i++ {
		score += worthLetter + max(worthNext, int(l.worth[at+i]))
	}
	return score
}

// find is where the letters of t stand together, as its kind wants it; of several places the best.
func (t term) find(l *label) (at int, found bool) {
	text := t.of(l)
	last := len(text) - len(t.text)
	if last < 0 {
		return 0, false
	}
	stands := func(at int) bool { return slices.Equal(text[at:at+len(t.text)], t.text) }
	switch t.kind {
	case prefix:
		return 0, stands(0)
	case suffix:
		return last, stands(last)
	case whole:
		return 0, last == 0 && stands(0)
	}
	for i := 0; i <= last; i++ {
		if text[i] == t.text[0] && stands(i) && (!found || l.worth[i] > l.worth[at]) {
			at, found = i, true
		}
	}
	return at, found
}

// of is the label as the term sees it.
func (t term) of(l *label) []rune {
	if t.cased {
		return l.text
	}
	return l.folded
}

// places is where the letters of the term stand.
func (t term) places(l *label, s *scratch) ([]int, bool) {
	if t.letter&^l.letter != 0 || len(t.text) > len(l.text) {
		return nil, false
	}
	if t.kind == inOrder {
		out := make([]int, len(t.text))
		_, ok := t.align(l, s, out)
		return out, ok
	}
	at, found := t.find(l)
	if !found {
		return nil, false
	}
	out := make([]int, len(t.text))
	for i := range out {
		out[i] = at + i
	}
	return out, true
}

// never is worse than any score, and far from where sums wrap.
const never = -1 << 24

// window is the part of the label that letters in their order can stand in: from the first place of the
// first letter to the last place of the last one.
func (t term) window(text []rune) (from, to int, ok bool) {
	i := 0
	for at, r := range text {
		if r != t.text[i] {
			continue
		}
		if i == 0 {
			from = at
		}
		if i++; i == len(t.text) {
			to, last := at, t.text[i-1]
			for end := len(text) - 1; end > to; end-- {
				if text[end] == last {
					to = end
				}
			}
			return from, to + 1, true
		}
	}
	return 0, 0, false
}

// align gives the letters of t, in their order, the places of the label that are worth most together. It
// fills places unless that is nil.
func (t term) align(l *label, s *scratch, places []int) (int, bool) {
	text := t.of(l)
	lo, hi, ok := t.window(text)
	if !ok {
		return 0, false
	}
	width := hi - lo
	s.ends = row(s.ends, width)
	if places != nil {
		s.from = row(s.from, width*len(t.text))
	}
	for i, r := range t.text {
		var from []int32
		if places != nil {
			from = s.from[i*width : (i+1)*width]
		}
		next(s.ends, from, r, i == 0, text[lo:hi], l.worth[lo:hi])
	}
	end, best := 0, int32(never)
	for j, score := range s.ends {
		if score > best {
			end, best = j, score
		}
	}
	for i := len(places) - 1; i >= 0; i-- {
		places[i] = lo + end
		end = int(s.from[i*width+end])
	}
	return int(best), best > never
}

// row is a row of that width, of the memory of an earlier one where it suffices.
func row(r []int32, width int) []int32 {
	if cap(r) < width {
		r = make([]int32, max(width, 128))
	}
	return r[:width]
}

// next makes the row of one more letter of that before: of ends, and of from unless that is nil.
func next(ends, from []int32, letter rune, first bool, text []rune, worths []int8) {
	near, nearAt := int32(never), int32(-1) // the letter before stands one place before
	far, farAt := int32(never), int32(-1)   // it stands further away, the gap paid
	for j, r := range text {
		score, came := int32(never), int32(-1)
		if r == letter {
			worth := int32(worths[j])
			switch {
			case first:
				score = worthLetter + 2*worth
			case near > never:
				score, came = near+worthLetter+max(worthNext, worth), nearAt
			}
			if !first && far > never && far+worthLetter+worth > score {
				score, came = far+worthLetter+worth, farAt
			}
		}
		if far > never {
			far -= costSkipped
		}
		if near > never && near-costGap > far {
			far, farAt = near-costGap, nearAt
		}
		if !first {
			near, nearAt = ends[j], int32(j)
		}
		ends[j] = score
		if from != nil {
			from[j] = came
		}
	}
}
