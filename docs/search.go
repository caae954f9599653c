package docs

import (
	"math"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// Hit is a place of the manual that a search found.
type Hit struct {
	Page    *Page
	Heading string // "" for what stands before the first
	Anchor  string
	// Excerpt is a part of the text; Marks are where the words stand in it, in bytes, in order.
	Excerpt string
	Marks   [][2]int
	score   float64
}

// Address is where the server shows the place.
func (h Hit) Address() string {
	if h.Anchor == "" {
		return h.Page.Address()
	}
	return h.Page.Address() + "#" + h.Anchor
}

// place is what stands below one heading.
type place struct {
	page    *Page
	heading Heading
	text    string
	length  int
}

// posting says how much a word weighs in a place.
type posting struct {
	place  int
	weight float64
}

const (
	titleWeight   = 12
	headingWeight = 8
	nameWeight    = 6
)

// words is the index of a search.
type words struct {
	places []place
	of     map[string][]posting
	sorted []string
	mean   float64 // words of a place
}

// learn makes the index of words.
func (m *Manual) learn() *words {
	x := &words{of: map[string][]posting{}}
	for _, p := range m.Order {
		x.places = append(x.places, placesOf(p)...)
	}
	total := 0
	for i, pl := range x.places {
		weights := map[string]float64{}
		add := func(text string, weight float64) {
			for _, w := range wordsOf(text) {
				weights[w] += weight
			}
		}
		add(pl.text, 1)
		add(pl.heading.Text, headingWeight)
		if pl.heading.Text == "" {
			add(pl.page.Title, titleWeight)
			add(pl.page.Name, nameWeight)
		} else {
			add(pl.page.Title, 1)
		}
		for w, weight := range weights {
			x.of[w] = append(x.of[w], posting{i, weight})
		}
		x.places[i].length = len(wordsOf(pl.text))
		total += x.places[i].length
	}
	x.mean = max(1, float64(total)/float64(max(1, len(x.places))))
	x.sorted = make([]string, 0, len(x.of))
	for w := range x.of {
		x.sorted = append(x.sorted, w)
	}
	sort.Strings(x.sorted)
	return x
}

// placesOf cuts a page at its headings.
func placesOf(p *Page) (list []place) {
	var text strings.Builder
	now, next := Heading{}, 0
	flush := func() {
		list = append(list, place{page: p, heading: now, text: strings.Join(strings.Fields(text.String()), " ")})
		text.Reset()
	}
	titled := false
	eachLine(string(p.Source), func(line string, code bool) {
		if _, _, ok := headingOf(line); ok && !code {
			if titled {
				flush()
				now, next = p.Headings[next], next+1
			}
			titled = true
			return
		}
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "<!--") && !strings.HasPrefix(trimmed, "```") {
			text.WriteString(Plain(strings.ReplaceAll(line, "|", " ")) + "\n")
		}
	})
	flush()
	return list
}

// wordsOf are the words of a text in lower case. What holds together, such as "task.metadata" or "claim-expired",
// counts as one word and as its parts.
func wordsOf(text string) []string {
	var out []string
	for _, f := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/", r)
	}) {
		f = strings.Trim(f, "-_.:/")
		if f == "" {
			continue
		}
		out = append(out, f)
		if parts := strings.FieldsFunc(f, func(r rune) bool { return strings.ContainsRune("-_.:/", r) }); len(parts) > 1 {
			out = append(out, parts...)
		}
	}
	return out
}

// Search finds the places where all words stand, the best first, n at most. The last word may be the beginning of one.
func (m *Manual) Search(query string, n int) []Hit {
	var asked []string
	for _, f := range strings.Fields(strings.ToLower(query)) {
		if f = strings.Trim(f, "-_.:/,;()\"'`"); f != "" && !slices.Contains(asked, f) {
			asked = append(asked, f)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	x := m.words()
	scores := x.scores(asked[0], len(asked) == 1)
	for i, w := range asked[1:] {
		more := x.scores(w, i == len(asked)-2)
		for at := range scores {
			if s, ok := more[at]; ok {
				scores[at] += s
			} else {
				delete(scores, at)
			}
		}
	}
	hits := make([]Hit, 0, len(scores))
	for at, score := range scores {
		pl := &x.places[at]
		hits = append(hits, Hit{Page: pl.page, Heading: pl.heading.Text, Anchor: pl.heading.Anchor, Excerpt: pl.text, score: score * pl.worth(asked)})
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.Address(), b.Address())
	})
	hits = hits[:min(n, len(hits))]
	for i := range hits {
		hits[i].Excerpt, hits[i].Marks = excerpt(hits[i].Excerpt, asked)
	}
	return hits
}

// worth is how likely a place is what somebody looks for, among those whose words fit as well: rather what explains than an
// entry of a long list, whose few words all count for much, unless it is named; and rather a page that is about it.
func (p *place) worth(asked []string) float64 {
	name, about := p.page.Name, p.heading.Text
	if about == "" {
		about = p.page.Title
	}
	words := wordsOf(about)
	switch {
	case strings.EqualFold(strings.TrimPrefix(about, "treeline "), strings.Join(asked, " ")) && (name != "reference/tables" || strings.Contains(about, "_")):
		return 1.2
	case name == "reference/tables":
		return 0.4
	case strings.HasPrefix(name, "reference/api/") || name == "reference/command-line":
		return 0.6
	case p.heading.Text == "" && !slices.ContainsFunc(asked, func(w string) bool { return !slices.Contains(words, w) }):
		return 1.5
	case p.heading.Text == "":
		return 1.2
	}
	return 1
}

// scores says how well a word fits each place (BM25, with weights for titles).
func (x *words) scores(word string, beginning bool) map[int]float64 {
	out := map[int]float64{}
	add := func(w string, worth float64) {
		list := x.of[w]
		rare := math.Log(1 + float64(len(x.places))/float64(len(list)+1))
		for _, p := range list {
			long := 0.4 + 0.6*float64(x.places[p.place].length)/x.mean
			out[p.place] = max(out[p.place], worth*rare*p.weight*2.2/(p.weight+1.2*long))
		}
	}
	if x.of[word] != nil {
		add(word, 1)
	}
	if !beginning && x.of[word] != nil || len(word) < 2 {
		return out
	}
	for i := sort.SearchStrings(x.sorted, word); i < len(x.sorted) && strings.HasPrefix(x.sorted[i], word); i++ {
		if x.sorted[i] != word {
			add(x.sorted[i], 0.6)
		}
	}
	return out
}

const excerptBytes = 220

// excerpt is the part of a text around the first of the words, and where they stand.
func excerpt(text string, asked []string) (string, [][2]int) {
	lower := strings.ToLower(text)
	if len(lower) != len(text) { // a letter whose small form has another length
		lower = text
	}
	first := len(text)
	for _, w := range asked {
		if i := strings.Index(lower, w); i >= 0 {
			first = min(first, i)
		}
	}
	if first == len(text) {
		first = 0
	}
	from := max(0, first-60)
	if cut := strings.IndexByte(text[from:], ' '); from > 0 && cut >= 0 && from+cut < first {
		from += cut + 1
	}
	to := min(len(text), from+excerptBytes)
	if cut := strings.LastIndexByte(text[from:to], ' '); to < len(text) && cut > 0 {
		to = from + cut
	}
	text, lower = strings.ToValidUTF8(text[from:to], ""), strings.ToValidUTF8(lower[from:to], "")
	var marks [][2]int
	for at := 0; at < len(lower); {
		begin, end := len(lower), 0
		for _, w := range asked {
			if i := strings.Index(lower[at:], w); i >= 0 && at+i < begin {
				begin, end = at+i, at+i+len(w)
			}
		}
		if end == 0 {
			break
		}
		marks = append(marks, [2]int{begin, end})
		at = end
	}
	return text, marks
}
