package uitest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a page may take for what a test waits for.
const patience = 15 * time.Second

// networkChanged is what a browser says of a request that it broke off because the machine has another network: a
// container of a test beside this one came or went.
const networkChanged = "net::ERR_NETWORK_CHANGED"

// Tab is a page in a real browser. What its console complains about and what it asks of other
// servers fails the test at its end.
type Tab struct {
	site *Site
	ctx  context.Context

	mu       sync.Mutex
	problems []string
	expected []string // parts of complaints that the test provokes
}

// Tab starts a browser with a profile of its own and opens a page of the site.
func (s *Site) Tab(t testing.TB) *Tab {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 860), chromedp.WSURLReadTimeout(60 * time.Second),
	}
	parent, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(parent)
	tab := &Tab{site: s, ctx: ctx, expected: []string{networkChanged}}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
		cancel()
		stop()
		tab.check(t)
	})
	if err := chromedp.Listen(ctx, tab.listen); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	tab.Size(t, 1280, 860)
	return tab
}

// Beside opens another tab in the same browser, with the same profile and cookies.
func (tab *Tab) Beside(t testing.TB) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(tab.ctx)
	beside := &Tab{site: tab.site, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		beside.check(t)
	})
	if err := chromedp.Listen(ctx, beside.listen); err != nil {
		t.Fatalf("another tab does not open: %v", err)
	}
	beside.Size(t, 1280, 860)
	return beside
}

// Close closes a tab as its user does.
func (tab *Tab) Close(t testing.TB) {
	t.Helper()
	if err := chromedp.Cancel(tab.ctx); err != nil {
		t.Fatalf("close the tab: %v", err)
	}
}

// chromium finds the browser. A test of pages without a browser is a failure.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium here: on Debian or Ubuntu run \"apt-get install chromium\"")
	return ""
}

func (tab *Tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		tab.complain("exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				tab.complain("console: " + string(a.Value) + a.Description)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			tab.complain("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && "http://"+u.Host != tab.site.URL {
			tab.complain("foreign request: " + e.Request.URL)
		}
	}
}

func (tab *Tab) complain(text string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.problems = append(tab.problems, text)
}

// Expect says that the test provokes complaints with this text.
func (tab *Tab) Expect(text string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.expected = append(tab.expected, text)
}

func (tab *Tab) check(t testing.TB) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, p := range tab.problems {
		if !containsAny(p, tab.expected) {
			t.Errorf("the browser complained: %s", p)
		}
	}
}

func containsAny(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// Go opens a page and waits until its script has taken over. What a change of networks broke off it opens again.
func (tab *Tab) Go(t testing.TB, path string) {
	t.Helper()
	for tries := 3; ; tries-- {
		before := tab.networkChanges()
		err := tab.open(path)
		if err == nil {
			return
		}
		broken := strings.Contains(err.Error(), networkChanged) || tab.networkChanges() > before
		if !broken || tries == 1 {
			tab.Shot(t, "failed-"+filepath.Base(t.Name()))
			t.Fatalf("open %s: %v", path, err)
		}
	}
}

func (tab *Tab) open(path string) error {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(tab.site.URL+path)); err != nil {
		return err
	}
	const ready = `document.body.dataset.ready === "true"`
	if !tab.comes(ready) {
		return fmt.Errorf("the page never came to %s", ready)
	}
	return nil
}

// networkChanges is how many requests were broken off by a change of networks.
func (tab *Tab) networkChanges() (n int) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, p := range tab.problems {
		if strings.Contains(p, networkChanged) {
			n++
		}
	}
	return n
}

func (tab *Tab) do(t testing.TB, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Eval returns the value of a script's expression, or what its promise comes to.
func Eval[T any](t testing.TB, tab *Tab, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Wait waits until an expression is true, across pages too.
func (tab *Tab) Wait(t testing.TB, expression string) {
	t.Helper()
	if !tab.comes(expression) {
		tab.Shot(t, "failed-"+filepath.Base(t.Name()))
		t.Fatalf("the page never came to %s", expression)
	}
}

// comes waits until an expression holds, and reports whether it did.
func (tab *Tab) comes(expression string) bool {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		// While one page goes and the next comes there is nothing to ask.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise)); err == nil && ok {
			return true
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

// Keys presses keys one after the other. A key that a page takes for itself writes nothing.
func (tab *Tab) Keys(t testing.TB, keys string) {
	t.Helper()
	for _, r := range keys {
		for _, event := range kb.Encode(r) {
			if event.Type == kb.KeyChar {
				continue // the text goes with the key going down, as from a keyboard
			}
			if (unicode.IsPrint(r) || r == '\r') && event.Type != kb.KeyUp {
				event.Type, event.Text = input.DispatchKeyEventTypeKeyDown, string(r)
			}
			if _, err := chromedp.Call(tab.ctx, input.DispatchKeyEvent, *event); err != nil {
				t.Fatalf("press %q: %v", r, err)
			}
		}
	}
}

// Chord presses a letter together with the control key.
func (tab *Tab) Chord(t testing.TB, letter string) {
	t.Helper()
	const control = 2
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
		if _, err := chromedp.Call(tab.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: letter, Code: "Key" + strings.ToUpper(letter), Modifiers: control}); err != nil {
			t.Fatalf("press ctrl+%s: %v", letter, err)
		}
	}
}

// Heap returns the bytes that the page's script holds, and the nodes of the page, after what is no longer needed is gone.
func (tab *Tab) Heap(t testing.TB) (bytes float64, nodes int) {
	t.Helper()
	for range 2 { // what waits for a first round to be released goes with the second
		if _, err := chromedp.Call(tab.ctx, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			t.Fatalf("collect garbage: %v", err)
		}
	}
	usage, err := chromedp.Call(tab.ctx, runtime.GetHeapUsage, cdp.Empty{})
	if err != nil {
		t.Fatalf("heap: %v", err)
	}
	counters, err := chromedp.Call(tab.ctx, memory.GetDOMCounters, cdp.Empty{})
	if err != nil {
		t.Fatalf("nodes: %v", err)
	}
	return usage.UsedSize, int(counters.Nodes)
}

// Click clicks the first element that matches.
func (tab *Tab) Click(t testing.TB, selector string) {
	t.Helper()
	tab.do(t, "click "+selector, chromedp.Click(selector))
}

// Type writes into a field.
func (tab *Tab) Type(t testing.TB, selector, text string) {
	t.Helper()
	tab.do(t, "type into "+selector, chromedp.SendKeys(selector, text))
}

// Text returns the text of the first element that matches, with single spaces.
func (tab *Tab) Text(t testing.TB, selector string) string {
	t.Helper()
	return Eval[string](t, tab, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "").replace(/\s+/g, " ").trim()`, selector))
}

// Count returns how many elements match.
func (tab *Tab) Count(t testing.TB, selector string) int {
	t.Helper()
	return Eval[int](t, tab, fmt.Sprintf(`document.querySelectorAll(%q).length`, selector))
}

// Size sets the size of the page in pixels.
func (tab *Tab) Size(t testing.TB, width, height int64) {
	t.Helper()
	tab.do(t, "resize", chromedp.EmulateViewport(width, height))
}

// Dark makes the system prefer dark or light pages.
func (tab *Tab) Dark(t testing.TB, dark bool) {
	t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	_, err := chromedp.Call(tab.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Before runs a script in each page that is opened from now on, before the page's own.
func (tab *Tab) Before(t testing.TB, script string) {
	t.Helper()
	if _, err := chromedp.Call(tab.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatal(err)
	}
}

// Zone makes the browser's clock show the time of a place, such as "Europe/Berlin".
func (tab *Tab) Zone(t testing.TB, name string) {
	t.Helper()
	if _, err := chromedp.Call(tab.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name}); err != nil {
		t.Fatal(err)
	}
}

// SignIn signs in through the page.
func (tab *Tab) SignIn(t testing.TB, client, token string) {
	t.Helper()
	tab.Go(t, "/login")
	tab.Type(t, "input[name=clientId]", client)
	tab.Type(t, "input[name=accessToken]", token+"\r")
	tab.Wait(t, `location.pathname === "/" && document.querySelector("#user") !== null`)
}

// Shot keeps a picture of the page where TREELINE_SHOTS names a folder.
func (tab *Tab) Shot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("TREELINE_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600)
	}
	if err != nil {
		t.Logf("no picture %s: %v", name, err)
	}
}

// Picture writes what the window shows to a file, as WebP.
func (tab *Tab) Picture(t testing.TB, file string) {
	t.Helper()
	quality := int64(82)
	shot, err := chromedp.Call(tab.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
	if err != nil {
		t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile(file, shot.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Rest waits until nothing has changed on the page for a while, seconds that are counted aside.
func (tab *Tab) Rest(t testing.TB) {
	t.Helper()
	tab.Wait(t, `new Promise(rested => {
		let timer = setTimeout(() => rested(true), 600)
		new MutationObserver(l => {
			if (l.every(m => m.target.closest?.("time, .live") || m.target.parentElement?.closest("time, .live"))) return
			clearTimeout(timer)
			timer = setTimeout(() => rested(true), 600)
		}).observe(document.body, {subtree: true, childList: true, characterData: true})
	})`)
}
