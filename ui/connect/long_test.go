//go:build uilong

package connect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// S2: ten megabytes of output are over within ten seconds, and keys are answered at once after.
func TestMuchOutput(t *testing.T) {
	l := lend(t)
	l.work()
	tab := l.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/connect/"+l.id)
	tab.Wait(t, `document.querySelector("#connect-state").dataset.stage === "ready"`)
	tab.Go(t, "/shell/"+l.id+"/0")
	tab.Wait(t, `document.body.dataset.shell === "connected" && globalThis.treelineShell !== undefined`)
	last := `(() => { const b = treelineShell.terminal.buffer.active; for (let i = Math.max(0, b.length - 60); i < b.length; i++) if (b.getLine(i)?.translateToString(true).includes("%s")) return true; return false; })()`
	began := time.Now()
	uitest.Eval[bool](t, tab, `(treelineShell.shell.type("yes | head -c 10M; echo o''ver\r"), true)`)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !uitest.Eval[bool](t, tab, replaced(last, "over")) && time.Since(began) < time.Minute {
		<-tick.C
	}
	took := time.Since(began)
	began = time.Now()
	uitest.Eval[bool](t, tab, `(treelineShell.shell.type("echo a''gain\r"), true)`)
	tab.Wait(t, replaced(last, "again"))
	echo := time.Since(began)
	kept := uitest.Eval[int](t, tab, `treelineShell.terminal.buffer.active.length`)
	t.Logf("10 MB in %v, the next key in %v, %d lines kept", took.Round(time.Millisecond), echo.Round(time.Millisecond), kept)
	if took > 20*time.Second || kept > 10_200 { // twice the time on shared machines
		t.Errorf("10 MB took %v, %d lines are kept", took, kept)
	}
}

func replaced(text, with string) string { return strings.Replace(text, "%s", with, 1) }
