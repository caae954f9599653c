package hgcmd

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/task"
)

// TestTheHookOnARealServer pushes to an hg serve that has the lines and the script as they are printed.
func TestTheHookOnARealServer(t *testing.T) {
	type hint struct {
		path, signature string
		body            []byte
	}
	hints := make(chan hint, 10)
	hang := make(chan struct{}) // closed: the server answers
	treeline := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		hints <- hint{r.URL.Path, r.Header.Get("X-Treeline-Signature"), body}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer treeline.Close()
	dir := t.TempDir()
	script, secret := filepath.Join(dir, "treeline_hook.py"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{script: Script(), secret: "0123456789abcdef\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	repo := hgtest.Init(t, "mine")
	lines := strings.ReplaceAll(Lines("mine", treeline.URL+"/", script), "/etc/mercurial/treeline.secret", secret)
	if err := os.WriteFile(filepath.Join(repo.Dir, ".hg", "hgrc"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	web := repo.Serve(hgtest.Pushable()...)
	clone := web.Clone()
	take := func() hint {
		t.Helper()
		select {
		case h := <-hints:
			return h
		case <-time.After(30 * time.Second):
			t.Fatal("no hint comes")
			return hint{}
		}
	}

	t.Run("a push sends a hint, and does not wait for who takes it", func(t *testing.T) {
		node := clone.Commit("one", map[string]string{"a": "1"})
		clone.Push(web) // nobody answers the hint until this is over
		h := take()
		var at int64
		var sum string
		if _, err := fmt.Sscanf(strings.Replace(h.signature, ",v1=", " ", 1), "t=%d %s", &at, &sum); err != nil {
			t.Fatal(err, h.signature)
		}
		mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
		fmt.Fprintf(mac, "%d.%s", at, h.body)
		if sum != hex.EncodeToString(mac.Sum(nil)) || time.Since(time.Unix(at, 0)) > time.Minute || h.path != "/api/hg/v1/hint/mine" {
			t.Errorf("%s %s", h.path, h.signature)
		}
		var said map[string]any
		if err := json.Unmarshal(h.body, &said); err != nil {
			t.Fatal(err)
		}
		delete(said, "txnid")
		delete(said, "phases_moved") // by version
		want := map[string]any{"version": 1.0, "repository": "mine", "node": node, "node_last": node, "source": "serve", "txnname": "serve"}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Error(diff)
		}
	})
	close(hang)
	t.Run("a bookmark sends one too", func(t *testing.T) {
		clone.Run("bookmark", "main")
		clone.Push(web, "-B", "main")
		if h := take(); !strings.Contains(string(h.body), `"bookmark_moved": "1"`) {
			t.Errorf("%s", h.body)
		}
	})
	t.Run("without a server or a secret pushes work all the same", func(t *testing.T) {
		treeline.Close()
		clone.Commit("two", map[string]string{"a": "2"})
		clone.Push(web)
		if err := os.Remove(script); err != nil {
			t.Fatal(err)
		}
		clone.Commit("three", map[string]string{"a": "3"})
		clone.Push(web)
		if clone.Tip() != repo.Run("log", "-r", "tip", "-T", "{node}") {
			t.Error("the push did not arrive")
		}
	})
}

func TestTheListOfRepositories(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) *task.Time { return &task.Time{Time: now.Add(d)} }
	yes, no := true, false
	var out bytes.Buffer
	err := table(&out, []client.HgRepository{
		{Name: "central", Pushlog: &yes, Cursor: 812, Looked: at(-20 * time.Second), Next: at(40 * time.Second), Moved: at(-time.Hour), Hinted: at(-time.Hour)},
		{Name: "plain", Pushlog: &no, Heads: 3, Looked: at(-time.Minute), Failures: 2, Error: "the server is too slow", Next: at(4 * time.Minute)},
		{Name: "new"},
	}, now)
	want := `REPOSITORY  PUSHES FROM      LOOKED    NEXT     MOVED       HINTED      STATE
central     pushlog, to 812  20s ago   in 40s   1h0m0s ago  1h0m0s ago  ok
plain       heads, 3         1m0s ago  in 4m0s  never       never       failed 2 times: the server is too slow
new         -                never     now      never       never       not looked at yet
`
	if diff := cmp.Diff(want, out.String()); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
