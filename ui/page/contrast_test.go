package page_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestContrast computes from the design tokens that text can be read: WCAG's ratio of at least 4.5 on
// every surface it stands on, in both themes.
func TestContrast(t *testing.T) {
	source, err := os.ReadFile("../src/style/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);`).FindAllStringSubmatch(string(source), -1) {
		tokens[m[1]] = [2]string{m[2], m[3]}
	}
	surfaces := []string{"bg", "surface", "sunken", "hover", "selected"}
	on := map[string][]string{
		"text": append(surfaces, "danger-bg", "warn-bg", "mark", "mark-now"), "muted": surfaces, "link": append(surfaces, "danger-bg"), "accent": {"bg", "surface"},
		"on-accent": {"accent-fill"}, "on-fill": {"failed-fill", "exception-fill"},
	}
	for _, state := range []string{"passed", "failed", "exception", "running", "pending", "unscheduled", "cancelled"} {
		on[state] = []string{"bg", "surface", "hover", "selected"}
	}
	for n := range 16 {
		on[fmt.Sprintf("ansi-%d", n)] = []string{"surface", "hover"}
	}
	for text, grounds := range on {
		for _, ground := range grounds {
			for theme, name := range []string{"light", "dark"} {
				a, b := tokens[text][theme], tokens[ground][theme]
				if a == "" || b == "" {
					t.Fatalf("no token %s or %s", text, ground)
				}
				if got := ratio(t, a, b); got < 4.5 {
					t.Errorf("%s on %s has a contrast of %.2f in the %s theme", text, ground, got, name)
				}
			}
		}
	}
}

func ratio(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, color string) float64 {
	n, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(shift uint) float64 {
		c := float64(n>>shift&255) / 255
		if c <= 0.03928 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
