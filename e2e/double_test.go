package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

var doubleAddress = regexp.MustCompile(`GitHub +(http://127\.0\.0\.1:[0-9]+)/acme/pebble`)

// double is a person in front of the double of GitHub.
type double struct {
	*uitest.Tab
	t *testing.T
}

// as makes the visitor another person.
func (d double) as(login string) {
	d.t.Helper()
	d.Click(d.t, `.who button[value="`+login+`"]`)
	d.Wait(d.t, `document.querySelector('.who button[value="`+login+`"][aria-pressed]') !== null && document.body.dataset.ready === "true"`)
}

// propose opens a pull request that changes a file, and returns its address.
func (d double) propose(file string, text string) string {
	d.t.Helper()
	d.Go(d.t, "/acme/pebble/edit/"+file)
	uitest.Eval[string](d.t, d.Tab, fmt.Sprintf(`document.querySelector("textarea[name=text]").value = %q`, text))
	d.Click(d.t, "#propose")
	d.Wait(d.t, `/\/pull\/[0-9]+$/.test(location.pathname) && document.body.dataset.ready === "true"`)
	return uitest.Eval[string](d.t, d.Tab, "location.pathname")
}

// until waits until an expression is true: longer than a page may take, for tasks run meanwhile.
func (d double) until(m *machine, what, expression string) {
	d.t.Helper()
	m.eventually(2*time.Minute, what, func(context.Context) error {
		if uitest.Eval[bool](d.t, d.Tab, expression) {
			return nil
		}
		return errors.New(uitest.Eval[string](d.t, d.Tab, `[...document.querySelectorAll(".run")].map(e => e.dataset.name + ": " + e.dataset.status + " " + e.dataset.conclusion).join("; ")`))
	})
}

// press presses a button, again every ten seconds, until an expression is true.
func (d double) press(m *machine, button, what, expression string) {
	d.t.Helper()
	var pressed time.Time
	m.eventually(2*time.Minute, what, func(context.Context) error {
		if uitest.Eval[bool](d.t, d.Tab, expression) {
			return nil
		}
		if time.Since(pressed) > 10*time.Second {
			pressed = time.Now()
			d.Click(d.t, button)
		}
		return errors.New("not yet")
	})
}

func runNamed(name string) string { return fmt.Sprintf(`.run[data-name="%s"]`, name) }

func concluded(name, conclusion string) string {
	return fmt.Sprintf(`document.querySelector('%s[data-conclusion="%s"]') !== null`, runNamed(name), conclusion)
}

// TestTheDoubleOfGitHubInABrowser goes the way of the tutorial: open a pull request, see its checks, press a button, see
// what comes of it; as somebody who may not write be refused; merge through the queue; release.
func TestTheDoubleOfGitHubInABrowser(t *testing.T) {
	m := newInstance(filepath.Join(t.TempDir(), "double"), "", 2).in(t)
	if err := os.Chmod(filepath.Dir(m.data), 0o755); err != nil {
		t.Fatal(err)
	}
	m.options = []string{"--github-double"}
	m.start()
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Error(err)
		}
	})
	var site string
	m.eventually(30*time.Second, "the address", func(context.Context) error {
		if found := doubleAddress.FindStringSubmatch(m.out.from(0)); found != nil {
			site = found[1]
			return nil
		}
		return errors.New("it is not there")
	})
	d := double{(&uitest.Site{URL: site}).Tab(t), t}
	kind, err := os.ReadFile("../app/sample/project/taskcluster/kinds/lint/kind.yml")
	if err != nil {
		t.Fatal(err)
	}
	failing := string(kind) + "  awk:\n    description: Fails, for a button to be pressed.\n    symbol: awk\n    run:\n      command: echo no; exit 1\n"
	path := ""

	t.Run("a pull request gets checks, those that fail with buttons, and says what it does to the task graph", func(t *testing.T) {
		d.t = t
		path = d.propose("taskcluster/kinds/lint/kind.yml", failing)
		d.until(m, "the task graph", concluded("task graph", "neutral"))
		if text := d.Text(t, runNamed("task graph")); !strings.Contains(text, "1 added") || !strings.Contains(text, "github-push") {
			t.Error(text)
		}
		d.until(m, "the failing task", concluded("lint-awk", "failure"))
		d.until(m, "the aggregate", concluded("Treeline", "failure"))
		d.Shot(t, "double-pull-light")
	})
	t.Run("the whole comparison has a page, in every look", func(t *testing.T) {
		address, err := url.Parse(uitest.Eval[string](t, d.Tab, `document.querySelector('`+runNamed("task graph")+` .buttons a').href`))
		if err != nil {
			t.Fatal(err)
		}
		page := (&uitest.Site{URL: "http://" + address.Host}).Tab(t)
		for _, look := range []struct {
			name  string
			width int64
			dark  bool
		}{{"light", 1280, false}, {"dark", 1280, true}, {"narrow", 390, false}, {"narrow-dark", 390, true}} {
			page.Size(t, look.width, 860)
			page.Dark(t, look.dark)
			page.Go(t, address.Path)
			page.Shot(t, "graph-diff-"+look.name)
			if wide := uitest.Eval[int](t, page, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
				t.Errorf("%s is %d pixels too wide", look.name, wide)
			}
		}
		if text := page.Text(t, "main"); !strings.Contains(text, "lint-awk") || !strings.Contains(text, "Critical path") {
			t.Error(text)
		}
	})
	t.Run("a press of Rerun runs the task again", func(t *testing.T) {
		d.t = t
		d.until(m, "the button", `document.querySelector('`+runNamed("lint-awk")+` button[value=rerun]') !== null`)
		before := uitest.Eval[string](t, d.Tab, `document.querySelector('`+runNamed("lint-awk")+`').id`)
		d.Click(t, runNamed("lint-awk")+` button[value=rerun]`)
		d.until(m, "another run", fmt.Sprintf(`document.querySelector('%s')?.id !== %q`, runNamed("lint-awk"), before))
		d.until(m, "its end", concluded("lint-awk", "failure"))
		d.Shot(t, "double-rerun")
	})
	t.Run("who may only read is refused, and the check run says so", func(t *testing.T) {
		d.t = t
		d.as("rita")
		d.until(m, "the button", `document.querySelector('`+runNamed("lint-awk")+` button[value=rerun]') !== null`)
		// The page is made anew when checks change: a click may meet the old one.
		d.press(m, runNamed("lint-awk")+` button[value=rerun]`, "the refusal", `(document.querySelector('`+runNamed("lint-awk")+` .summary')?.innerText ?? "").includes("rita")`)
		d.Shot(t, "double-refused")
		d.as("ada")
	})
	t.Run("a mended revision is green, and a comment is answered", func(t *testing.T) {
		d.t = t
		d.Go(t, "/acme/pebble/edit/taskcluster/kinds/lint/kind.yml?pull="+filepath.Base(path))
		uitest.Eval[string](t, d.Tab, fmt.Sprintf(`document.querySelector("textarea[name=text]").value = %q`, strings.Replace(failing, "exit 1", "true", 1)))
		d.Click(t, "#commit")
		d.Wait(t, `/\/pull\/[0-9]+$/.test(location.pathname) && document.body.dataset.ready === "true"`)
		d.until(m, "green", concluded("Treeline", "success"))
		d.Type(t, "textarea[name=text]", "/treeline explain lint-awk")
		d.Click(t, "#comment")
		d.until(m, "the answer", `document.querySelector(".reaction") !== null`)
		d.Shot(t, "double-green")
	})
	t.Run("it goes through the merge queue", func(t *testing.T) {
		d.t = t
		d.Go(t, path)
		d.Click(t, "#enqueue")
		d.until(m, "the group's checks", `document.querySelectorAll('.checks').length === 2 && document.querySelectorAll('.checks')[1].querySelector('[data-name="Treeline"][data-conclusion="success"]') !== null`)
		d.Shot(t, "double-queue")
		d.Click(t, `button[value=finish]`)
		d.Wait(t, `document.querySelector("#state").innerText === "merged"`)
	})
	t.Run("an outsider's pull request comes from a fork and is built without trust", func(t *testing.T) {
		d.t = t
		d.as("stranger")
		d.propose("pages/about.md", "A stranger was here.\n")
		d.until(m, "its checks", concluded("Treeline", "success"))
		if text := d.Text(t, "main"); !strings.Contains(text, "stranger/pebble:stranger-patch-2") {
			t.Error(text)
		}
	})
	t.Run("troubles begin and end", func(t *testing.T) {
		d.t = t
		d.as("ada")
		d.Click(t, `#trouble button[name=on][value=true]`)
		d.Wait(t, `document.querySelector('#trouble button[value=false]') !== null`)
		path := d.propose("pages/index.md", "Said while GitHub is down.\n")
		d.Click(t, `#trouble button[value=false]`)
		d.Wait(t, `document.querySelector('#trouble button[value=true]') !== null`)
		d.Go(t, path)
		d.until(m, "what was missed", concluded("Treeline", "success"))
	})
	t.Run("a release is built", func(t *testing.T) {
		d.t = t
		d.Go(t, "/acme/pebble")
		d.Type(t, "input[name=name]", "v1.0")
		d.Click(t, "button[value=release]")
		d.Wait(t, `/\/commit\//.test(location.pathname)`)
		d.until(m, "its checks", `document.querySelector('.run[data-name="Treeline"][data-conclusion]') !== null || document.querySelector(".status") !== null`)
	})
	t.Run("every look", func(t *testing.T) {
		for _, look := range []struct {
			name  string
			width int64
			dark  bool
		}{{"light", 1280, false}, {"dark", 1280, true}, {"narrow", 390, false}, {"narrow-dark", 390, true}} {
			d.Size(t, look.width, 900)
			d.Dark(t, look.dark)
			for name, at := range map[string]string{"home": "/", "repository": "/acme/pebble", "pull": path, "edit": "/acme/pebble/edit/pages/index.md"} {
				d.Go(t, at)
				d.Shot(t, "double-"+name+"-"+look.name)
				if wide := uitest.Eval[int](t, d.Tab, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("%s %s is %d pixels too wide", look.name, name, wide)
				}
			}
		}
	})
}
