package throttle

import (
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Parse reads rates as they are configured, with spaces between: KIND=PER-SECOND/BURST, or KIND=off. What is not named
// is as in Defaults.
func Parse(text string) (map[Kind]Rate, error) {
	rates := Defaults()
	for _, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(word, "=")
		kind := Kind(name)
		if !ok || !slices.Contains(Kinds(), kind) {
			return nil, fault.New(fault.Invalid, "%.100q is no limit: write KIND=PER-SECOND/BURST or KIND=off, such as anonymous=200/2000; the kinds are %s", word, kinds())
		}
		if value == "off" {
			rates[kind] = Rate{}
			continue
		}
		each, burst, _ := strings.Cut(value, "/")
		perSecond, err := strconv.ParseFloat(each, 64)
		most, convErr := strconv.Atoi(burst)
		if err != nil || convErr != nil || !(perSecond > 0 && perSecond <= 1e9) || most < 1 || most > 1e9 {
			return nil, fault.New(fault.Invalid, "the limit %.100q: write how many a second for long, a slash, and how many at once, such as %s=200/2000, or %s=off", word, kind, kind)
		}
		rates[kind] = Rate{perSecond, most}
	}
	return rates, nil
}

func kinds() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
