package uitest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// looks are the ways in which every page is looked at: wide and narrow, in both themes.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
}{{"wide", 1280, 860, false}, {"dark", 1280, 860, true}, {"narrow", 390, 844, false}, {"narrow-dark", 390, 844, true}}

// Inspect looks at the page that is open, in each theme, wide and narrow: it must have a title and one h1, scroll in no
// direction but down, take the theme, and pass axe-core's rules of serious and critical weight (in all looks with the
// long tests, else wide and light, and narrow and dark). It keeps pictures (see Shot) and leaves the tab wide and light.
// name is that of the pictures.
func (tab *Tab) Inspect(t testing.TB, name string) {
	t.Helper()
	for _, look := range looks {
		tab.Size(t, look.width, look.height)
		tab.Dark(t, look.dark)
		Eval[bool](t, tab, drawn) // what depends on the width is laid out anew when the browser draws
		tab.Shot(t, name+"-"+look.name)
		if got := Eval[int](t, tab, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
			t.Errorf("%s, %s: the page is %d pixels too wide: %s", name, look.name, got, Eval[string](t, tab, Widest))
		}
		if got := Eval[string](t, tab, `getComputedStyle(document.documentElement).backgroundColor`); (got == "rgb(18, 21, 23)") != look.dark {
			t.Errorf("%s, %s: the background is %s", name, look.name, got)
		}
		if narrow := look.width < 1000; allLooks || narrow == look.dark {
			tab.accessible(t, name+", "+look.name)
		}
	}
	if title, heads := Eval[string](t, tab, `document.title`), tab.Count(t, "h1"); title == "" || heads != 1 {
		t.Errorf("%s: the page has the title %q and %d h1", name, title, heads)
	}
	tab.Size(t, 1280, 860)
	tab.Dark(t, false)
}

// drawn waits until the browser has drawn what is there now.
const drawn = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`

// Widest is a script that names the elements that stick out.
const Widest = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.tagName + "." + e.className).join(", ")`

// accessible runs axe-core in the page.
func (tab *Tab) accessible(t testing.TB, where string) {
	t.Helper()
	source, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	if !Eval[bool](t, tab, `"axe" in window`) {
		Eval[bool](t, tab, source+"\n;true")
	}
	found := Eval[[]string](t, tab, `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(r => r.violations
		.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.help + " at " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " (" + (n.any[0] ?? n.all[0] ?? n.none[0])?.message + ")").join("; ")))`)
	if len(found) > 0 {
		t.Errorf("%s: axe-core found:\n%s", where, strings.Join(found, "\n"))
	}
}

// axe is the source of axe-core, from where npm put it.
var axe = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	source, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "src", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("axe-core is missing: run \"make ui\": %w", err)
	}
	return string(source), nil
})
