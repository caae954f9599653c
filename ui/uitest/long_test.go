//go:build uilong

package uitest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// shown are the keys as the help writes them, as the browser knows them.
var shown = map[string]string{"←": "\u0302", "→": "\u0303", "↑": "\u0304", "↓": "\u0301", "↵": "\r", "esc": "\u001b", "space": " "}

// TestEveryKeyDoesSomething presses each key that the help of a page lists, on a fresh page: something of the page
// changes, the focus moves, or another page comes.
func TestEveryKeyDoesSomething(t *testing.T) {
	s := uitest.New(t)
	group, ids := sample(t, s)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Expect("status of 404") // of pages and lists that this site does not have
	for _, path := range []string{
		"/jobs?repo=sample&selectedTaskRun=" + ids["test-linux64-unit-2"] + ".0", "/tasks/" + ids["test-linux64-unit-2"], "/tasks/groups/" + group, "/hooks",
	} {
		tab.Go(t, path)
		tab.Keys(t, "?")
		tab.Wait(t, `document.querySelector("#keys[open]") !== null`)
		// Keys that stand together are pressed one after the other; a space stands between those that do the same.
		keys := uitest.Eval[[]string](t, tab, `[...document.querySelectorAll("#keys dt")].flatMap(d => {
			const list = [[]]
			for (const n of d.childNodes) n.nodeName === "KBD" ? list.at(-1).push(n.innerText) : list.push([])
			return list.filter(k => k.length > 0).map(k => k.join(">"))
		})`)
		for _, key := range keys {
			if key == "?" || key == "esc" || strings.HasPrefix(key, "ctrl") || strings.HasPrefix(key, "shift") {
				continue // tested where they mean something
			}
			if key == "f" && strings.Contains(path, "/groups/") {
				continue // what is shown whole fits already
			}
			t.Run(path[:5]+" "+key, func(t *testing.T) {
				tab.Go(t, path)
				uitest.Eval[bool](t, tab, `(window.before = document.activeElement, window.changes = 0, new MutationObserver(l => window.changes += l.length).observe(document, {subtree: true, childList: true, attributes: true, characterData: true}), true)`)
				for part := range strings.SplitSeq(key, ">") {
					if k, ok := shown[part]; ok {
						part = k
					}
					tab.Keys(t, part)
				}
				tab.Wait(t, fmt.Sprintf(`window.before === undefined || window.changes > 0 || document.activeElement !== window.before || location.pathname + location.search !== %q`, path))
			})
		}
	}
}

// TestManyUpdatesLeaveNothingBehind shows a page ten thousand changes: what it holds afterwards is what it shows.
func TestManyUpdatesLeaveNothingBehind(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 1000)
	tab := s.Tab(t)
	for _, path := range []string{"/jobs?repo=large", "/tasks/groups/" + group} {
		tab.Go(t, path)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		heap, nodes := tab.Heap(t)
		tasks := 0
		for range 10 {
			var batch []queue.NewTask
			for range 25 {
				batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(group), uitest.Job{Name: "more", Platform: "linux"}.Define)})
			}
			if _, err := s.Queue.CreateBatch(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			for _, b := range batch { // each is canceled and run again, over and over
				for range 20 {
					if _, err := s.Queue.Cancel(t.Context(), b.ID); err != nil {
						t.Fatal(err)
					}
					if _, err := s.Queue.Rerun(t.Context(), b.ID); err != nil {
						t.Fatal(err)
					}
					tasks += 2
				}
			}
		}
		time.Sleep(time.Second) // the last changes come in
		after, nodesAfter := tab.Heap(t)
		t.Logf("%s: %d changes: heap %.1f MB, then %.1f MB; %d nodes, then %d", path, tasks, heap/1e6, after/1e6, nodes, nodesAfter)
		if after > heap+10e6 {
			t.Errorf("%s: the heap grew by %.1f MB", path, (after-heap)/1e6)
		}
	}
}
