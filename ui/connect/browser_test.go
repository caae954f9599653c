package connect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
	"github.com/treeline-ci/treeline/workers"
)

// lent is a server, a worker that comes when it is started, and a task that is lent to people.
type lent struct {
	*uitest.Site
	root *client.Client
	id   string
	work func()
}

func lend(t *testing.T) *lent {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := apptest.Start(t, func(c *app.Config) {
		c.Log = log
		c.StaticClients = []auth.StaticClient{
			{ClientID: uitest.Admin, AccessToken: uitest.AdminToken, Scopes: []string{"*"}},
			{ClientID: uitest.Dev, AccessToken: uitest.DevToken, Scopes: []string{"queue:rerun-task:*"}},
		}
	})
	root, err := client.New(client.Config{RootURL: server.URL, Credentials: server.Root})
	if err != nil {
		t.Fatal(err)
	}
	l := &lent{Site: &uitest.Site{URL: server.URL}, root: root, id: slug.Nice()}
	dir, now := t.TempDir(), time.Now()
	if _, err := root.CreateTask(t.Context(), l.id, map[string]any{
		"taskQueueId": "test/shell", "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": map[string]any{"command": [][]string{{"sh", "-c", "echo ready"}}, "maxRunTime": 600,
			"features": map[string]bool{"interactive": true}, "env": map[string]string{"TASKCLUSTER_INTERACTIVE": "true", "HOME": dir}},
		"metadata": map[string]any{"name": "lent", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}); err != nil {
		t.Fatal(err)
	}
	l.work = func() {
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() {
			ended <- workers.Run(ctx, workers.Config{Client: root, TaskQueueID: "test/shell", WorkerGroup: "g", WorkerID: "w", Dir: dir, Grace: time.Second, Log: log})
		}()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return l
}

func TestInteractiveTasks(t *testing.T) {
	l := lend(t)
	tab := l.Tab(t)
	path := "/shell/" + l.id + "/0"
	t.Run("a wrong user gets no page and no socket", func(t *testing.T) { // S7
		for _, at := range []string{path, path + "/socket"} {
			answer, err := http.Get(l.URL + at)
			if err != nil {
				t.Fatal(err)
			}
			if _ = answer.Body.Close(); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s", at, answer.Status)
			}
		}
		dev := l.Tab(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		dev.Expect("403")
		dev.Go(t, path)
		if text := dev.Text(t, "main"); !strings.Contains(text, "queue:get-artifact:private/generic-worker/shell.html") {
			t.Error(text)
		}
		if dev.Count(t, "#terminal") != 0 {
			t.Error("there is a terminal")
		}
	})
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	t.Run("waiting, and told when it is ready while nobody looks", func(t *testing.T) { // S5
		tab.Go(t, "/tasks/"+l.id+"/connect")
		tab.Wait(t, `location.pathname.startsWith("/connect/") && document.querySelector("#connect-state").dataset.stage === "waiting"`)
		if text := tab.Text(t, "#stage-text"); text == "" {
			t.Error("it does not say what it waits for")
		}
		tab.Inspect(t, "connect-waiting")
		uitest.Eval[bool](t, tab, `(() => {
			globalThis.told = [];
			globalThis.Notification = class { static permission = "granted"; constructor(title) { globalThis.told.push(title); } };
			Object.defineProperty(document, "hidden", { get: () => true });
			document.querySelector("#tell").checked = true;
			return true;
		})()`)
		l.work()
		tab.Wait(t, `document.querySelector("#connect-state").dataset.stage === "ready" && document.title.startsWith("✓ Ready")`)
		tab.Wait(t, `told.length === 1 && told[0] === "A shell is ready"`)
	})
	t.Run("addresses of Taskcluster lead here", func(t *testing.T) {
		tab.Go(t, "/shell?v=2&taskId="+l.id+"&socketUrl="+strings.Replace(l.URL, "http", "ws", 1)+path+"/socket")
		tab.Wait(t, fmt.Sprintf(`location.pathname === %q`, path))
	})
	connected := func(t *testing.T) {
		t.Helper()
		tab.Wait(t, `document.body.dataset.shell === "connected" && globalThis.treelineShell !== undefined`)
	}
	shown := func(t *testing.T, text string) {
		t.Helper()
		tab.Wait(t, fmt.Sprintf(`(() => { const b = treelineShell.terminal.buffer.active; for (let i = Math.max(0, b.length - 120); i < b.length; i++) if (b.getLine(i)?.translateToString(true).includes(%q)) return true; return false; })()`, text))
	}
	run := func(command string) {
		t.Helper()
		uitest.Eval[bool](t, tab, fmt.Sprintf(`(treelineShell.shell.type(%q), true)`, command+"\r"))
	}
	t.Run("the terminal has the size that one sees", func(t *testing.T) { // S1
		connected(t)
		tab.Inspect(t, "shell")
		run("echo size $(stty size)")
		shown(t, "size "+uitest.Eval[string](t, tab, "`${treelineShell.terminal.rows} ${treelineShell.terminal.cols}`"))
		tab.Size(t, 900, 600)
		tab.Wait(t, `treelineShell.terminal.cols < 120`)
		run("echo then $(stty size)")
		shown(t, "then "+uitest.Eval[string](t, tab, "`${treelineShell.terminal.rows} ${treelineShell.terminal.cols}`"))
		tab.Size(t, 1280, 860)
	})
	t.Run("characters that are split, and a long paste", func(t *testing.T) { // S3
		run(`printf 'sn\342\230'; sleep 0.2; printf '\203w%s\n' man`)
		shown(t, "sn☃wman")
		uitest.Eval[bool](t, tab, `(treelineShell.shell.type("stty -echo -icanon; head -c 100000 | cksum; stty sane; echo over\r"), true)`)
		tab.Wait(t, `new Promise((done) => setTimeout(() => done(true), 300))`)
		uitest.Eval[bool](t, tab, `(treelineShell.terminal.paste("x".repeat(100000)), true)`)
		shown(t, " 100000")
		shown(t, "over")
	})
	t.Run("screen readers, who is here, and the way out", func(t *testing.T) { // S6
		tab.Click(t, "#reader")
		tab.Wait(t, `document.querySelector("#reader").getAttribute("aria-pressed") === "true" && treelineShell.terminal.options.screenReaderMode && document.querySelector(".xterm-accessibility") !== null`)
		tab.Wait(t, `document.querySelector("#who").innerText.includes("`+uitest.Admin+`") && document.querySelector("#left").innerText.includes("minutes left")`)
		uitest.Eval[bool](t, tab, `(treelineShell.terminal.focus(), treelineShell.terminal.textarea.dispatchEvent(new KeyboardEvent("keydown", { code: "Backquote", key: "~", ctrlKey: true, shiftKey: true, bubbles: true, cancelable: true })), true)`)
		tab.Wait(t, `document.activeElement.id === "reader"`)
	})
	t.Run("lines without the terminal", func(t *testing.T) { lines(t, l, path) })
	t.Run("a connection that breaks comes back to the same shell, with what it showed", func(t *testing.T) {
		run("KEPT=$((40+2)); echo set")
		shown(t, "set")
		uitest.Eval[bool](t, tab, `(document.body.dataset.shell = "", treelineShell.shell.socket.close(), true)`)
		connected(t)
		run("echo back $KEPT")
		shown(t, "back 42")
		shown(t, "sn☃wman")
		tab.Go(t, path)
		connected(t)
		shown(t, "back 42")
		run("echo anew $KEPT")
		shown(t, "anew 42")
	})
	t.Run("files are brought and taken, byte for byte", func(t *testing.T) { copies(t, tab, run, shown) })
	t.Run("an ended shell can be followed by another", func(t *testing.T) {
		run("exit")
		tab.Wait(t, `document.querySelector("#state").textContent === "ended" && !document.querySelector("#reconnect").hidden`)
		uitest.Eval[bool](t, tab, `(document.body.dataset.shell = "", true)`)
		tab.Click(t, "#reconnect")
		connected(t)
		run("echo fresh [$KEPT]")
		shown(t, "fresh []")
		run("exit")
		tab.Wait(t, `document.querySelector("#state").textContent === "ended"`)
	})
}

// copies brings a file of all bytes, larger than a terminal takes at once, and takes it again.
func copies(t *testing.T, tab *uitest.Tab, run func(string), shown func(*testing.T, string)) {
	const size = 300_000
	tab.Click(t, "#files summary")
	uitest.Eval[bool](t, tab, fmt.Sprintf(`(() => {
		globalThis.brought = Uint8Array.from({ length: %d }, (_, i) => (i * 7 + (i >> 8)) & 255);
		const held = new DataTransfer();
		held.items.add(new File([brought], "all bytes.bin"));
		document.querySelector("#put [name=file]").files = held.files;
		const make = URL.createObjectURL;
		URL.createObjectURL = (b) => ((globalThis.took = b), make.call(URL, b));
		return true;
	})()`, size))
	tab.Click(t, "#put button")
	tab.Wait(t, `document.querySelector("#file-said").textContent.includes("is there, 300,000 bytes")`)
	tab.Inspect(t, "shell-files")
	run(`wc -c < "all bytes.bin"`)
	shown(t, "300000")
	tab.Type(t, "#get [name=path]", "all bytes.bin\r")
	tab.Wait(t, `document.querySelector("#file-said").textContent.includes("300,000 bytes came")`)
	tab.Wait(t, `globalThis.took.arrayBuffer().then((b) => { const got = new Uint8Array(b); return got.length === brought.length && got.every((x, i) => x === brought[i]); })`)
	for name, text := range map[string]string{"no such file": "there is no such file", "/": "that is no file"} {
		tab.Wait(t, fmt.Sprintf(`(document.querySelector("#get [name=path]").value = %q, true)`, name))
		tab.Click(t, "#get button")
		tab.Wait(t, fmt.Sprintf(`document.querySelector("#file-said").textContent === %q`, text))
	}
}

// lines is S4.
func lines(t *testing.T, l *lent, path string) {
	tab := l.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, path+"?mode=line")
	tab.Wait(t, `document.body.dataset.shell === "connected"`)
	out := `document.querySelector(".line-out").textContent.includes`
	tab.Type(t, ".line-in input", "touch seen-by-ls; ls\r")
	tab.Wait(t, out+`("seen-by-ls")`)
	tab.Type(t, ".line-in input", `printf 'sn\342\230'; sleep 0.2; printf '\203w%s\n' man`+"\r")
	tab.Wait(t, out+`("sn☃wman")`)
	tab.Type(t, ".line-in input", "vi file\r")
	tab.Wait(t, out+`("vi draws on a whole screen")`)
	tab.Inspect(t, "shell-lines")
}
