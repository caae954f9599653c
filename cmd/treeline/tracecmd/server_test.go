package tracecmd_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/tracecmd"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
)

const revision = "5f2c9a1be07d41d5a4ed6bd2c4a1e97f1a2b3c4d"

// word is an id that a command line does not take for a flag, as it does what begins with a dash and does not follow --.
func word() string {
	for {
		if id := slug.New(); !strings.HasPrefix(id, "-") {
			return id
		}
	}
}

// recorded puts a push with a build and a lint, and one without tasks, into a server's database.
func recorded(t *testing.T, database string) (group string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pool, err := pg.Open(t.Context(), database)
	must(err)
	t.Cleanup(pool.Close)
	log, q := push.New(pool, func() {}, slog.New(slog.DiscardHandler)), queuetest.On(t, pool)
	must(log.Register(t.Context(), push.Repository{Name: "sample", Kind: push.LocalGit, URL: "file:///srv/sample", Path: "/srv/sample", Level: 1, DefaultBranch: "main"}))
	_, _, err = log.Record(t.Context(), push.Push{Repository: "sample", Revision: revision, Branch: "main", Message: "Teach it"}, "")
	must(err)
	_, _, err = log.Record(t.Context(), push.Push{Repository: "sample", Revision: strings.Repeat("e", 40), Base: revision, Branch: "main", Message: "Say nothing"}, revision)
	must(err)
	group = word()
	named := func(name string) func(*task.Definition) {
		return func(d *task.Definition) { d.Metadata.Name, d.TaskGroupID = name, group }
	}
	q.Create(t, group, queuetest.Define(named("Decision")))
	q.Run(t, group)
	_, err = q.Queue.ReportCompleted(t.Context(), group, 0)
	must(err)
	must(log.SetOutcome(t.Context(), "sample", 1, push.Outcome{State: push.Decided, TaskGroupID: group}))
	must(log.SetOutcome(t.Context(), "sample", 2, push.Outcome{State: push.Ignored}))
	q.Task(t, task.Completed, named("build"))
	q.Task(t, task.Failed, named("lint"))
	return group
}

func TestTraceOfAServer(t *testing.T) {
	database := ""
	server := apptest.Start(t, func(c *app.Config) { database, c.Anonymous = c.DatabaseURL, []string{"queue:list-task-group:*"} })
	group := recorded(t, database)
	run := func(as hawk.Credentials, args ...string) (string, error) {
		t.Helper()
		c, err := client.New(client.Config{RootURL: server.URL, Credentials: as})
		if err != nil {
			t.Fatal(err)
		}
		cmd := tracecmd.New(func(body tracecmd.Body) func(*cobra.Command, []string) error {
			return func(cmd *cobra.Command, args []string) error { return body(cmd, c, args) }
		}, "")
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(args)
		err = cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	for name, tt := range map[string]struct {
		args []string
		want []string
		not  string
	}{
		"by its revision":         {[]string{revision}, []string{"Teach it\nfailure after", "completed   build", "failed      lint", "Critical path\n", "█"}, ""},
		"by the beginning of it":  {[]string{revision[:7], "--repo", "sample"}, []string{"Teach it\n", "build"}, ""},
		"by its group":            {[]string{group}, []string{"Teach it\n", "build"}, ""},
		"a push without tasks":    {[]string{strings.Repeat("e", 40)}, []string{"Say nothing\n", "Critical path"}, "build"},
		"only the longest line":   {[]string{group, "--limit", "1"}, []string{"shorter ones (--limit 0 shows all)"}, ""},
		"only the critical path":  {[]string{group, "--critical"}, []string{"◆ "}, "\n  completed"},
		"a file for other tools":  {[]string{group, "--otlp"}, []string{`"resourceSpans"`, "RUN sample", `"stringValue":"treeline"`}, "Critical path"},
		"the same for a revision": {[]string{revision, "--otlp"}, []string{`"resourceSpans"`}, "Critical path"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(server.Root, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in:\n%s", want, out)
				}
			}
			if tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("%q is in:\n%s", tt.not, out)
			}
		})
	}
	t.Run("JSON is the trace", func(t *testing.T) {
		out, err := run(server.Root, revision, "--json")
		var v trace.View
		if err != nil || json.Unmarshal([]byte(out), &v) != nil || v.Title != "Teach it" || v.GroupID != group || len(v.Rows) != 4 || v.Result != trace.Failure {
			t.Errorf("%v: %s", err, out)
		}
	})
	for name, tt := range map[string]struct {
		as   hawk.Credentials
		args []string
		want string
	}{
		"a revision that nobody pushed": {server.Root, []string{strings.Repeat("a", 40)}, "There is no push of revision"},
		"a group that is not there":     {server.Root, []string{word()}, "does not exist"},
		"a repository that has no such": {server.Root, []string{revision, "--repo", "other"}, "There is no push of revision"},
		"what is neither":               {server.Root, []string{"../../x"}, "revision"},
		"two forms at once":             {server.Root, []string{group, "--json", "--otlp"}, "json otlp"},
		"nothing to look for":           {server.Root, nil, "accepts 1 arg(s)"},
		"a push that one may not see":   {hawk.Credentials{}, []string{revision}, "events:read"},
		"a group that one may not see":  {hawk.Credentials{}, []string{group}, "events:read"},
		"credentials that nobody gave":  {hawk.Credentials{ClientID: "nobody", AccessToken: "x"}, []string{group}, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := run(tt.as, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(out, "Teach it") {
				t.Errorf("want %q, got %v: %s", tt.want, err, out)
			}
		})
	}
}
