package pools

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/queue/gauge"
)

// length writes a duration as the script does: "0.4s", "45s", "3m 05s", "1h 02m", "2d 03h".
func length(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case d < 0:
		return "0.0s"
	case d < time.Second:
		return fmt.Sprintf("%.1fs", float64(d.Milliseconds()/100)/10)
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %02dh", s/86400, s/3600%24)
}

var symbols = map[string]string{"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}

// money writes an amount with two digits, or four where it is less than a cent.
func money(currency string, amount float64) string {
	digits := 2
	if amount > 0 && amount < 0.01 {
		digits = 4
	}
	text := strconv.FormatFloat(amount, 'f', digits, 64)
	if s, ok := symbols[currency]; ok {
		return s + text
	}
	return currency + " " + text
}

// rate writes a part of 1.
func rate(f float64) string {
	if f > 0 && f < 0.01 {
		return fmt.Sprintf("%.1f %%", 100*f)
	}
	return fmt.Sprintf("%.0f %%", 100*f)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes a number with commas.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// bar draws how much of something is used.
func bar(used, whole int) template.HTML {
	part := 0.0
	if whole > 0 {
		part = min(1, float64(used)/float64(whole))
	}
	class := ""
	if part >= 0.9 {
		class = " full"
	}
	return template.HTML(fmt.Sprintf(`<svg class="used%s" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="8"></rect><rect class="part" width="%.1f" height="8"></rect></svg>`, class, 100*part)) //nolint:gosec // numbers
}

// spark draws how long runs waited over a day, each step as high as the longest 95 % of it.
func spark(points []gauge.Point) template.HTML {
	const w, h = 96.0, 22.0
	most, any := time.Second, false
	for _, p := range points {
		most, any = max(most, p.P95), any || p.Waits
	}
	if !any {
		return ""
	}
	var line strings.Builder
	for i, p := range points {
		x := w * float64(i) / float64(max(1, len(points)-1))
		fmt.Fprintf(&line, "%.1f,%.1f ", x, h-1-(h-2)*float64(p.P95)/float64(most))
	}
	label := "Waits of 24 hours, 95 % of runs; at most " + length(most)
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s"><title>%s</title><polyline points="%s"></polyline></svg>`, w, h, label, label, line.String())) //nolint:gosec // numbers
}

// chart is how a task queue stood over a while.
type chart struct {
	Picture  template.HTML
	Label    string // what the picture shows, in words
	Top      string // of the scale
	From, To time.Time
	Span     string
	Spans    []string
	Empty    bool
}

var spans = []struct {
	name       string
	long, step time.Duration
}{
	{"1h", time.Hour, time.Minute},
	{"6h", 6 * time.Hour, 5 * time.Minute},
	{"24h", 24 * time.Hour, 15 * time.Minute},
	{"7d", 7 * 24 * time.Hour, 2 * time.Hour},
	{"90d", 90 * 24 * time.Hour, 24 * time.Hour},
}

// draw stacks what runs, what could run besides, and what waits.
func draw(points []gauge.Point) (picture template.HTML, label string, top float64) {
	const w, h = 960.0, 150.0
	idle := func(p gauge.Point) float64 { return max(0, p.Capacity-p.Running) }
	most := gauge.Point{}
	for _, p := range points {
		top = max(top, p.Running+idle(p)+p.Pending)
		most.Running, most.Pending, most.Capacity = max(most.Running, p.Running), max(most.Pending, p.Pending), max(most.Capacity, p.Capacity)
	}
	top = max(1, top)
	y := func(v float64) float64 { return h - h*v/top }
	x := func(i int) float64 { return w * float64(i) / float64(max(1, len(points)-1)) }
	area := func(class string, from, to func(gauge.Point) float64) string {
		var path strings.Builder
		for i, p := range points {
			fmt.Fprintf(&path, "%.1f,%.1f ", x(i), y(to(p)))
		}
		for i := len(points) - 1; i >= 0; i-- {
			fmt.Fprintf(&path, "%.1f,%.1f ", x(i), y(from(points[i])))
		}
		return `<polygon class="` + class + `" points="` + path.String() + `"></polygon>`
	}
	runs := func(p gauge.Point) float64 { return p.Running }
	able := func(p gauge.Point) float64 { return p.Running + idle(p) }
	body := area("a-running", func(gauge.Point) float64 { return 0 }, runs) + area("a-idle", runs, able) +
		area("a-pending", able, func(p gauge.Point) float64 { return able(p) + p.Pending })
	label = fmt.Sprintf("Tasks over time: at most %.0f running, %.0f pending, capacity for %.0f.", most.Running, most.Pending, most.Capacity)
	return template.HTML(fmt.Sprintf(`<svg class="area" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>`, w, h, label, body)), label, top //nolint:gosec // numbers
}
