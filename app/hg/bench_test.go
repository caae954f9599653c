package hg

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
)

// playServer makes the test binary a Mercurial server with any number of repositories in which nothing happens.
const playServer = "TREELINE_TEST_HG_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(playServer) != "" {
		still()
		return
	}
	os.Exit(m.Run())
}

// still answers as hgweb does for a repository with one head: /log/… with a pushlog, /heads/… without one, and
// /plain/… without tags either. /asked says how often it was asked.
func still() {
	node := strings.Repeat("a1", 20)
	var asked atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/asked" {
			fmt.Fprint(w, asked.Load())
			return
		}
		asked.Add(1)
		kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		_, page, _ := strings.Cut(rest, "/")
		command := r.URL.Query().Get("cmd")
		if kind != "plain" && command == "" {
			w.Header().Set("ETag", `W/"1700000000"`)
			if r.Header.Get("If-None-Match") == `W/"1700000000"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		switch {
		case command == "batch":
			fmt.Fprintf(w, "default %s;", node)
		case command == "known":
			fmt.Fprint(w, "1")
		case page == "json-bookmarks":
			fmt.Fprintf(w, `{"node": %q, "bookmarks": []}`, node)
		case page == "json-log":
			fmt.Fprintf(w, `{"node": %q, "query": "", "entries": [{"node": %q, "date": [1700000000, 0], "desc": "x", "branch": "default", "user": "x", "parents": []}]}`, node, node)
		case page == "json-pushes" && kind == "log":
			fmt.Fprint(w, `{"lastpushid": 7, "pushes": {}}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	_ = http.Serve(listener, handler) // until it is killed
}

// BenchmarkAThousandRepositories measures what one server does while a thousand repositories of a Mercurial server
// are looked at each minute and nothing is new. The Mercurial server and the database are processes of their own.
func BenchmarkAThousandRepositories(b *testing.B) {
	const count, span = 1000, 20 * time.Second
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), playServer+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it runs until then
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	server := "http://" + strings.TrimSpace(line)
	rows := []string{fmt.Sprintf("%-22s %10s %12s %10s", "1,000 repositories", "looks/s", "requests/s", "% of core")}
	for _, c := range []struct{ name, kind string }{{"with a pushlog", "log"}, {"by heads", "heads"}, {"by heads, no tags", "plain"}} {
		b.Run(c.name, func(b *testing.B) {
			pool := pgtest.DB(b)
			log := slog.New(slog.DiscardHandler)
			servers := forge.NewServers(0)
			var list []Repository
			pushes := push.New(pool, func() {}, log)
			for i := range count {
				r := Repository{Name: fmt.Sprintf("r%d", i), URL: fmt.Sprintf("%s/%s/r%d", server, c.kind, i), Every: time.Minute}
				if r.Reader, err = servers.Open(r.URL, forge.Options{}); err != nil {
					b.Fatal(err)
				}
				if err := pushes.Register(b.Context(), push.Repository{Name: r.Name, Kind: push.Mercurial, URL: r.URL, Level: 1}); err != nil {
					b.Fatal(err)
				}
				list = append(list, r)
			}
			w := New(Deps{Pool: pool, Push: pushes, Decide: func() {}, Repositories: list, Log: log})
			if err := w.note(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := w.Round(b.Context()); err != nil { // the first looks
				b.Fatal(err)
			}
			if _, err := pool.Exec(b.Context(), `UPDATE hg_repositories SET next_look = clock_timestamp() + random() * interval '60 seconds'`); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				asked, cpu, began := requests(b, server), used(b), time.Now()
				if err := w.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				<-time.After(span)
				w.Stop()
				seconds := time.Since(began).Seconds()
				share := 100 * (used(b) - cpu).Seconds() / seconds
				var looks float64
				if err := pool.QueryRow(b.Context(), `SELECT count(*) FROM hg_repositories WHERE looked > clock_timestamp() - make_interval(secs => $1)`, seconds).Scan(&looks); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(share, "%core")
				b.ReportMetric(looks/seconds, "looks/s")
				rows = append(rows, fmt.Sprintf("%-22s %10.1f %12.1f %10.2f", c.name, looks/seconds, float64(requests(b, server)-asked)/seconds, share))
			}
		})
	}
	fmt.Printf("\n%s\n\n", strings.Join(rows, "\n"))
}

// used is the processor time of this process.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func requests(b *testing.B, server string) (n int64) {
	b.Helper()
	resp, err := http.Get(server + "/asked")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		b.Fatal(err)
	}
	return n
}
