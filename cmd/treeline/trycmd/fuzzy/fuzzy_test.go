package fuzzy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/fuzzy"
)

// found are the labels that a query finds, the best first.
func found(labels []string, query string, exactly bool) []string {
	var out []string
	for _, f := range fuzzy.New(labels).Find(fuzzy.Parse(query, exactly)) {
		out = append(out, labels[f.Index])
	}
	return out
}

func TestQueriesFindWhatTheyMean(t *testing.T) {
	labels := []string{
		"build-linux64/opt", "build-linux64/debug", "build-win64/opt", "test-linux64/opt-mochitest-1", "test-linux64/opt-mochitest-10",
		"test-win64/debug-xpcshell", "lint-eslint", "toolchain-Clang",
	}
	for query, want := range map[string][]string{
		"leslint":                  {"lint-eslint"},
		"bux64opt":                 {"build-linux64/opt"},
		"mochi 10":                 {"test-linux64/opt-mochitest-10"},
		"'win64":                   {"build-win64/opt", "test-win64/debug-xpcshell"},
		"^build opt$":              {"build-win64/opt", "build-linux64/opt"},
		"^test !win64":             {"test-linux64/opt-mochitest-1", "test-linux64/opt-mochitest-10"},
		"!^build !^test !^lint":    {"toolchain-Clang"},
		"mochitest-1$":             {"test-linux64/opt-mochitest-1"},
		"^lint-eslint$":            {"lint-eslint"},
		"^lint | ^toolchain":       {"toolchain-Clang", "lint-eslint"},
		"^test xpcshell | 'eslint": {"test-win64/debug-xpcshell"},
		"clang":                    {"toolchain-Clang"},
		"Clang":                    {"toolchain-Clang"},
		"CLANG":                    nil,
		"tc-C":                     {"toolchain-Clang"},
		"zzz":                      nil,
		"zzz | 'eslint":            {"lint-eslint"},
		"!opt$ !debug !-1 !lint":   {"toolchain-Clang"},
		"linux\\ 64":               nil,
		"| 'eslint |":              {"lint-eslint"},
		"! ' ^ 'eslint":            {"lint-eslint"},
	} {
		t.Run(query, func(t *testing.T) {
			if diff := cmp.Diff(want, found(labels, query, false)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("all of them, in their order, without a query", func(t *testing.T) {
		if diff := cmp.Diff(labels, found(labels, "  ", false)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("words as they stand, if that is asked for", func(t *testing.T) {
		if got := found(labels, "b64", true); got != nil {
			t.Error(got)
		}
		if got := found(labels, "'bux64opt", true); len(got) != 1 {
			t.Error(got)
		}
	})
}

func TestTheBetterMatchComesFirst(t *testing.T) {
	for _, c := range []struct{ query, better, worse string }{
		{"test", "test-unit", "latest-unit"},                  // at the beginning
		{"unit", "test-unit", "test-community"},               // at the beginning of a word
		{"abc", "x-abc", "x-a-b-c-x"},                         // together
		{"tu", "test-unit", "test-aunt"},                      // first letters of words
		{"opt", "build/opt", "build/opt-long"},                // shorter
		{"lint", "lint", "lint-eslint"},                       // the whole
		{"abc", "xaxbc", "xaxxxxxxxxbc"},                      // a shorter gap
		{"mochitest", "test-mochitest", "mtoecshtimtoecshit"}, // one word rather than letters all over
	} {
		t.Run(c.query+" in "+c.better, func(t *testing.T) {
			got := found([]string{c.worse, c.better}, c.query, false)
			if len(got) == 0 || got[0] != c.better {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestPlacesAreThoseOfTheLettersMeant(t *testing.T) {
	for _, c := range []struct{ query, label, want string }{
		{"tu", "test-unit", "[t]est-[u]nit"},
		{"'unit ^te", "test-unit", "[te]st-[unit]"},
		{"zz | it$ !x", "test-unit", "test-un[it]"},
		{"äß", "grün-Äöß", "grün-[Ä]ö[ß]"},
		{"nothing", "test", "test"},
	} {
		t.Run(c.query, func(t *testing.T) {
			places := fuzzy.New([]string{c.label}).Places(fuzzy.Parse(c.query, false), 0)
			var b strings.Builder
			for i, r := range []rune(c.label) {
				_, in := slices.BinarySearch(places, i)
				_, before := slices.BinarySearch(places, i-1)
				if in && !before {
					b.WriteRune('[')
				}
				if !in && before {
					b.WriteRune(']')
				}
				b.WriteRune(r)
			}
			got := b.String()
			if strings.Count(got, "[") > strings.Count(got, "]") {
				got += "]"
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// text draws short texts of few letters, so that there are matches.
func text(t *rapid.T, name string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("abAB1-/é ")), 0, 12, -1).Draw(t, name)
}

// query draws queries with operators.
func query(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(`abAB1-é  '^$!|\`)), 0, 12, -1).Draw(t, "query")
}

// inOrder is what a word in its order of letters means, said as simply as can be.
func inOrder(label, word string) bool {
	if strings.IndexFunc(word, unicode.IsUpper) < 0 {
		label = strings.ToLower(label)
	}
	rest := []rune(word)
	for _, r := range label {
		if len(rest) > 0 && r == rest[0] {
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}

func TestPropertyWordsMatchAsTheyAreExplained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := text(t, "label")
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abAB1-é")), 1, 4, -1).Draw(t, "word")
		folded := label
		if strings.IndexFunc(word, unicode.IsUpper) < 0 {
			folded = strings.ToLower(label)
		}
		for query, want := range map[string]bool{
			word: inOrder(label, word), "'" + word: strings.Contains(folded, word), "!" + word: !strings.Contains(folded, word),
			"^" + word: strings.HasPrefix(folded, word), word + "$": strings.HasSuffix(folded, word), "^" + word + "$": folded == word,
			"!^" + word: !strings.HasPrefix(folded, word), "!" + word + "$": !strings.HasSuffix(folded, word),
			word + " | 'b": inOrder(label, word) || strings.Contains(strings.ToLower(label), "b"),
			word + " 'b":   inOrder(label, word) && strings.Contains(strings.ToLower(label), "b"),
		} {
			if got := len(found([]string{label}, query, false)) == 1; got != want {
				t.Fatalf("%q in %q: %v", query, label, got)
			}
		}
	})
}

func TestPropertyPlacesSpellTheWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label, word := text(t, "label"), rapid.StringOfN(rapid.RuneFrom([]rune("abAB1-é")), 1, 4, -1).Draw(t, "word")
		list := fuzzy.New([]string{label})
		q := fuzzy.Parse(word, false)
		places := list.Places(q, 0)
		if len(list.Find(q)) == 0 {
			if len(places) > 0 {
				t.Fatalf("places %v without a match", places)
			}
			return
		}
		if !slices.IsSorted(places) || len(places) != len([]rune(word)) {
			t.Fatalf("places %v", places)
		}
		var spelt strings.Builder
		for _, p := range places {
			spelt.WriteRune([]rune(label)[p])
		}
		if got := spelt.String(); got != word && strings.ToLower(got) != word {
			t.Fatalf("the places spell %q", got)
		}
	})
}

func TestPropertyNarrowingFindsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := make([]string, rapid.IntRange(1, 20).Draw(t, "labels"))
		for i := range labels {
			labels[i] = text(t, "label")
		}
		list, exactly := fuzzy.New(labels), rapid.Bool().Draw(t, "exactly")
		search := fuzzy.NewSearch(list, exactly)
		whole := []rune(query(t))
		for n := range len(whole) + 1 {
			typed := string(whole[:n])
			if diff := cmp.Diff(list.Find(fuzzy.Parse(typed, exactly)), search.Find(typed)); diff != "" {
				t.Fatalf("after typing %q: %s", typed, diff)
			}
		}
	})
}

func TestPropertyTheScoreIsTheBestThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringOfN(rapid.RuneFrom([]rune("ab-1")), 1, 9, -1).Draw(t, "label")
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab1")), 1, 3, -1).Draw(t, "word")
		got := fuzzy.New([]string{label}).Find(fuzzy.Parse(word, false))
		best, any := bestOf(label, word)
		if any != (len(got) == 1) || any && got[0].Score != best {
			t.Fatalf("%+v, want %d", got, best)
		}
	})
}

// bestOf tries all places for the letters of word.
func bestOf(label, word string) (best int, any bool) {
	worth := func(i int) int {
		switch {
		case i == 0:
			return 10
		case label[i] != '-' && label[i-1] == '-':
			return 8
		case label[i] == '1' && label[i-1] != '1':
			return 5
		}
		return 0
	}
	var try func(i, last, sum int)
	try = func(i, last, sum int) {
		if i == len(word) {
			if !any || sum > best {
				best, any = sum, true
			}
			return
		}
		for at := last + 1; at < len(label); at++ {
			switch {
			case label[at] != word[i]:
			case i == 0:
				try(1, at, 16+2*worth(at))
			case at == last+1:
				try(i+1, at, sum+16+max(6, worth(at)))
			default:
				try(i+1, at, sum+16+worth(at)-3-(at-last-2))
			}
		}
	}
	try(0, -1, 0)
	return best, any
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "a b", "'a", "^a$", "!a", "a | b", `a\ b`, "|||", "^$", "\xff", strings.Repeat("a ", 2000)} {
		f.Add(s, "build-linux64/opt")
	}
	f.Fuzz(func(t *testing.T, query, label string) {
		list := fuzzy.New([]string{label})
		for _, exactly := range []bool{false, true} {
			q := fuzzy.Parse(query, exactly)
			list.Find(q)
			for _, p := range list.Places(q, 0) {
				if p < 0 || p >= len([]rune(label)) {
					t.Fatalf("place %d of %q", p, label)
				}
			}
		}
	})
}

// many are labels like those of a large project.
func many(n int) []string {
	platforms := []string{"linux1804-64-shippable", "windows11-64-2009", "macosx1015-64", "android-hw-a55-14-0-aarch64"}
	suites := []string{"mochitest-browser-chrome", "web-platform-tests", "xpcshell", "reftest", "marionette-framework"}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("test-%s/%s-%s-%d", platforms[i%4], []string{"opt", "debug"}[i/4%2], suites[i/8%5], i/40+1)
	}
	return out
}

// BenchmarkKeyPress is a key press among 10,000 labels: the list is found again, and 50 rows of it are
// shown. A key press has to be answered within 16 ms.
func BenchmarkKeyPress(b *testing.B) {
	list := fuzzy.New(many(10_000))
	for _, typed := range []string{"t", "test", "mochitest", "linux debug !xpcshell", "tlinuxdebugmochi1", "^test chrome | reftest 1$"} {
		b.Run(typed, func(b *testing.B) {
			for b.Loop() {
				q := fuzzy.Parse(typed, false)
				found := list.Find(q)
				for _, f := range found[:min(50, len(found))] {
					list.Places(q, f.Index)
				}
			}
		})
	}
}
