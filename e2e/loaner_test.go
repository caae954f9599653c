package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

// borrow starts a worker for the tasks that are lent, and visits one.
func (m *machine) borrow(queue, taskID string) {
	t := m.t
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- workers.Run(ctx, workers.Config{
			Client: m.client, TaskQueueID: queue, WorkerGroup: "e2e", WorkerID: "lender", Dir: t.TempDir(), Capacity: 2, AcceptImages: true,
			Grace: time.Second, Log: slog.New(slog.DiscardHandler),
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	m.visit(taskID, "private/docker-worker/shell.html")
}

// visit opens a shell in a task that is lent, as the page does that an artifact leads to, and types until it answers; then
// it leaves, and the task ends.
func (m *machine) visit(taskID, artifact string) {
	t, ctx := m.t, m.t.Context()
	t.Helper()
	m.eventually(time.Minute, "the shell's artifact is there", func(ctx context.Context) error {
		_, err := m.client.Locate(ctx, taskID, client.LatestRun, artifact)
		return err
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	person := &http.Client{Jar: jar}
	creds := m.client.Credentials()
	answer, err := person.PostForm(m.url("/login"), url.Values{"clientId": {creds.ClientID}, "accessToken": {creds.AccessToken}})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()                                                                                                                                               // the cookie is what is wanted
	shell, _, err := websocket.Dial(ctx, m.url("/shell/"+taskID+"/0/socket"), &websocket.DialOptions{HTTPClient: person, HTTPHeader: http.Header{"Origin": {m.url("")}}}) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shell.CloseNow() }()
	typed := "\x01echo $((6*7))-$TASK_ID-$TASKCLUSTER_INTERACTIVE; exit\r"
	if err := shell.Write(ctx, websocket.MessageBinary, []byte(typed)); err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var shown strings.Builder
	for {
		_, message, err := shell.Read(limit)
		if err != nil {
			break // the shell has ended
		}
		shown.Write(message)
	}
	if want := "42-" + taskID + "-true"; !strings.Contains(shown.String(), want) {
		t.Errorf("the shell does not say %q:\n%s", want, shown.String())
	}
	m.eventually(time.Minute, "the task ends when its person has gone", func(ctx context.Context) error {
		st, err := m.client.Status(ctx, taskID)
		if err == nil && st.State != task.Completed {
			err = fmt.Errorf("it is %s", st.State)
		}
		return err
	})
}

// lent checks what a loaner's definition must be: time-boxed, and without rights, routes, caches and artifacts.
func lent(t *testing.T, copied *client.GroupTask) {
	t.Helper()
	if copied == nil {
		t.Fatal("there is no copy")
	}
	d := copied.Task
	for _, want := range []string{`"interactive": true`, `"cache": {}`, `"artifacts": {}`, `"maxRunTime": 10800`} {
		if !strings.Contains(string(d.Payload), want) {
			t.Errorf("the payload lacks %s: %s", want, d.Payload)
		}
	}
	if len(d.Scopes) > 0 || len(d.Routes) > 0 {
		t.Errorf("it has the scopes %v and the routes %v", d.Scopes, d.Routes)
	}
	if box := d.Deadline.Sub(d.Created.Time); box > 12*time.Hour+time.Minute {
		t.Errorf("its deadline is %s away", box)
	}
}
