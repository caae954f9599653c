package regex_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/regex"
)

func TestMatchesAsTheFieldDoes(t *testing.T) {
	cases := []struct{ expression, fits, not string }{
		{"linux|win$", "linux linux64 win", "windows lin xwin"},
		{"(linux|win)64$", "linux64 win64", "linux win6"},
		{"linux(?!32).*$", "linux64 linux", "linux32"},
		{"(?=lin).*64$", "linux64", "win64 lin"},
		{"(?<!x)linux\\Z", "linux", "xlinux linuxx"},
		{"a(?<=a)b", "ab", "b"},
		{"(?P<os>lin|win)-(?P=os)$", "lin-lin", "lin-win"},
		{"(a)?b(?(1)c|d)$", "abc bd", "abd bc"},
		{"(?i)LINUX\\d+$", "linux64 Linux1", "linux"},
		{"(?i:a)B$", "aB AB", "ab"},
		{"(?>a+)b", "aab", "aac"},
		{"a{2,3}?$", "aa aaa", "a aaaa"},
		{"a{b}$", "a{b}", "ab"},
		{"a{,2}$", "a aa", "aaa"},
		{"[^]]$", "a [", "]"},
		{"[]a-c]+$", "]ab", "d -"},
		{"[(?P<]\\Z", "( ? P <", "x"},
		{"\\[(?P<x>a)\\]", "[a]", "a"},
		{"[\\w-]+$", "a-b_1", "+"},
		{"\\w+$", "Straße àü", "a-b"},
		{"1.0$", "1.0 1x0", "1.00"},
		{"\\x41\\u0042\\103$", "ABC", "abc"},
		{"(?s)a.b", "a\nb", "ab"},
		{"(?x) a b # and no more", "ab", "a#"},
		{"\\bab\\b", "ab ab-", "abc"},
	}
	for _, c := range cases {
		r, err := regex.Compile(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		for want, texts := range map[bool]string{true: c.fits, false: c.not} {
			for text := range strings.SplitSeq(texts, " ") {
				if got, err := r.MatchStart(text); text != "" && (got != want || err != nil) {
					t.Errorf("%s on %q: %v %v, want %v", c.expression, text, got, err, want)
				}
			}
		}
	}
	r, err := regex.Compile("ab$")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := r.MatchStart("ab\n"); !ok {
		t.Error("a line feed at the end hides the end")
	}
}

func TestFaultsOfExpressionsAreTold(t *testing.T) {
	for _, expression := range []string{
		"a(", "a)", "[a", "*a", "a**", "a{3,2}", "\\", "(?P=x)", "(?P<x", "(?z)", "[b-a]", "\\x4", "(?(2)a)", strings.Repeat("a", regex.MaxLength+1),
	} {
		if _, err := regex.Compile(expression); err == nil || err.Error() == "" {
			t.Errorf("%.20s: %v", expression, err)
		}
	}
}

func TestHostileExpressionsEnd(t *testing.T) {
	for _, expression := range []string{"(a+)+$", "(a*)*b", "((a|a)*)*c", "(?=(a+)+$)a"} {
		r, err := regex.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := r.MatchStart(strings.Repeat("a", 2000) + "!"); ok || err != nil && !errors.Is(err, regex.ErrCostly) {
			t.Errorf("%s: %v %v", expression, ok, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"(?P<a>x)(?(1)y|z){2,}?", "[^]\\w-]*", "(?i:a)(?<!b)\\Z", "(?x) a # b", "(?P=", "\\", "[\\"} {
		f.Add(s, "text")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		r, err := regex.Compile(expression)
		if err != nil {
			return
		}
		first, err := r.MatchStart(text)
		if second, again := r.MatchStart(text); err == nil && again == nil && first != second {
			t.Error("two matches differ")
		}
	})
}
