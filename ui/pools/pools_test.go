package pools_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	ui "github.com/treeline-ci/treeline/ui/pools"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const twoConfigs = `{"minCapacity": 0, "maxCapacity": 8, "launchConfigs": [
	{"workerManager": {"launchConfigId": "small", "initialWeight": 0.25}},
	{"workerManager": {"launchConfigId": "large"}, "args": ["--capacity", "1"]}]}`

func exec(t *testing.T, s *uitest.Site, sql string, args ...any) {
	t.Helper()
	if _, err := s.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, s *uitest.Site, sql string, args ...any) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// claims has a worker do tasks that end so.
func claims(t *testing.T, s *uitest.Site, pool, worker string, states ...task.State) (ids []string) {
	t.Helper()
	for i, state := range states {
		id := s.Task(t, task.Pending, queuetest.OnQueue(pool), uitest.Named(fmt.Sprintf("test-%d", i)))
		list, err := s.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: pool, WorkerGroup: "rack", WorkerID: worker, Tasks: 1})
		if err != nil || len(list) != 1 || list[0].Status.TaskID != id {
			t.Fatalf("claimed %v, error %v", list, err)
		}
		switch state {
		case task.Completed:
			_, err = s.Queue.ReportCompleted(t.Context(), id, 0)
		case task.Failed:
			_, err = s.Queue.ReportFailed(t.Context(), id, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func admin(t *testing.T, s *uitest.Site) *uitest.Browser {
	t.Helper()
	b := s.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	return b
}

func want(t *testing.T, d *uitest.Document, status int, selector string, texts ...string) {
	t.Helper()
	if d.Status != status {
		t.Errorf("%s: status %d, want %d", d.URL, d.Status, status)
	}
	got := d.Text(selector)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%s: %s is %q, want %q in it", d.URL, selector, got, text)
		}
	}
}

func csrf(t *testing.T, d *uitest.Document) string {
	t.Helper()
	list := d.Find("input[name=csrf]")
	if len(list) == 0 {
		t.Fatalf("%s has no form", d.URL)
	}
	return uitest.Attr(list[0], "value")
}

// send fills in a form of a page.
func send(t *testing.T, b *uitest.Browser, path string, form url.Values) *uitest.Document {
	t.Helper()
	form.Set("csrf", csrf(t, b.Get(t, path)))
	at, _, _ := strings.Cut(path, "?")
	return b.Post(t, at, form)
}

func TestPagesOfPools(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	t.Run("without any pool or queue the pages say what to do", func(t *testing.T) {
		want(t, b.Get(t, "/worker-manager"), http.StatusOK, "main", "No worker pool yet", "Make one")
		want(t, b.Get(t, "/queues"), http.StatusOK, "main", "No task queue yet", "treeline worker run")
	})
	t.Run("workers without any pool, as those of treeline dev, are shown all the same", func(t *testing.T) {
		claims(t, s, "local/work", "dev-1", task.Completed)
		want(t, b.Get(t, "/worker-manager"), http.StatusOK, "#others tbody", "local/work 0 0 1")
		want(t, b.Get(t, ui.Path("local/work")), http.StatusOK, "#workers tbody", "rack/dev-1 idle", "test-0 passed")
	})
	s.WorkerPool(t, "p/linux", "cloud", twoConfigs)
	s.WorkerPool(t, "p/paused", "cloud", `{"minCapacity": 0, "maxCapacity": 0, "launchConfigs": [{}]}`)
	claims(t, s, "p/linux", "machine-1", task.Completed, task.Running)
	claims(t, s, "hand/made", "laptop", task.Completed)
	for range 3 {
		s.Task(t, task.Pending, queuetest.OnQueue("p/linux"))
	}
	t.Run("the list has what waits, runs, and is paused", func(t *testing.T) {
		d := b.Get(t, "/worker-manager")
		want(t, d, http.StatusOK, "h1", "Worker pools")
		want(t, d, http.StatusOK, "#pools tbody tr", "p/linux cloud 3 1", "p/paused cloud paused 0 0")
		if got := len(d.Find("#pools tbody tr")); got != 2 {
			t.Errorf("%d pools", got)
		}
		want(t, b.Get(t, "/worker-manager?q=linux"), http.StatusOK, "#pools tbody", "p/linux")
		if d := b.Get(t, "/worker-manager?sort=pending&q=p/"); strings.Index(d.Body, ">p/linux<") > strings.Index(d.Body, ">p/paused<") {
			t.Error("the most pending does not come first")
		}
		want(t, b.Get(t, "/worker-manager?q=nothing"), http.StatusOK, "#pools tbody", "No pool fits")
	})
	t.Run("a queue without a pool is listed and has a page", func(t *testing.T) {
		want(t, b.Get(t, "/queues"), http.StatusOK, "#queues tbody", "hand/made", "p/linux")
		d := b.Get(t, "/worker-manager/hand%2Fmade")
		want(t, d, http.StatusOK, "main", "no pool", "rack/laptop")
		if len(d.Find("nav.tabs a")) != 2 {
			t.Errorf("tabs: %s", d.Text("nav.tabs"))
		}
	})
	t.Run("a pool's id may be one part of the path or two", func(t *testing.T) {
		for _, path := range []string{"/worker-manager/p%2Flinux", "/worker-manager/p/linux"} {
			want(t, b.Get(t, path), http.StatusOK, "h1", "p/linux")
		}
		want(t, b.Get(t, "/worker-manager/no/such"), http.StatusNotFound, "main", "neither a worker pool nor a task queue")
	})
	t.Run("old addresses lead on", func(t *testing.T) {
		worker := "/provisioners/p/worker-types/linux/workers/rack/machine-1"
		for from, to := range map[string]string{
			"/worker-manager/p%2Flinux/errors": ui.Path("p/linux") + "?tab=errors", "/worker-manager/p%2Flinux/launch-configs": ui.Path("p/linux") + "?tab=launch-configs",
			"/worker-manager/p%2Flinux/workers": ui.Path("p/linux") + "?tab=workers", "/provisioners": "/queues", "/queues/p/linux": ui.Path("p/linux"), "/queues/p%2Flinux": ui.Path("p/linux"), "/provisioners/p": "/queues?q=p%2F",
			"/provisioners/p/worker-types/linux": ui.Path("p/linux"), "/provisioners/p/worker-types/linux/pending-tasks": ui.Path("p/linux") + "?tab=pending",
			"/workers/p/linux:rack:machine-1": worker, "/workers/p%2Flinux/rack:machine-1": worker, "/workers/p/linux/rack/machine-1": worker, worker: worker,
		} {
			d := b.Get(t, from)
			if got := d.URL.RequestURI(); got != to || d.Status != http.StatusOK {
				t.Errorf("%s leads to %s (%d), want %s", from, got, d.Status, to)
			}
		}
	})
	t.Run("a task names its worker and its queue, and the palette finds queues", func(t *testing.T) {
		id := claims(t, s, "hand/made", "laptop", task.Completed)[0]
		d := b.Get(t, "/tasks/"+id)
		for _, href := range []string{"/workers/hand/made/rack/laptop", "/queues/hand/made"} {
			if len(d.Find("a[href="+href+"]")) == 0 {
				t.Errorf("the task's page has no link to %s", href)
			}
			if got := b.Get(t, href); got.Status != http.StatusOK {
				t.Errorf("%s: status %d", href, got.Status)
			}
		}
		if got := b.Get(t, "/ui/api/find?q=hand").Body; !strings.Contains(got, ui.Path("hand/made")) {
			t.Errorf("the palette finds %s", got)
		}
	})
	t.Run("what nobody may do is shown with what is missing", func(t *testing.T) {
		anonymous := s.Browser(t)
		d := anonymous.Get(t, ui.Path("p/linux"))
		want(t, d, http.StatusOK, ".act-form", "queue:quarantine-worker:p/linux", "worker-manager:remove-worker:p/linux")
		for _, n := range d.Find(".act-form button") {
			if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "disabled" }) {
				t.Errorf("the button %s works", uitest.Attr(n, "value"))
			}
		}
		want(t, anonymous.Get(t, ui.Path("p/linux")+"?tab=config"), http.StatusOK, ".why", "worker-manager:manage-worker-pool:p/linux")
	})
	t.Run("every tab has its outline", func(t *testing.T) {
		for tab, text := range map[string]string{"workers": "rack/machine-1", "pending": "It is next.", "errors": "No errors", "launch-configs": "small", "config": "Review changes"} {
			want(t, b.Get(t, ui.Path("p/linux")+"?tab="+tab), http.StatusOK, "main", text)
		}
	})
}

// TestWaitsOnThePage: check W6.
func TestWaitsOnThePage(t *testing.T) {
	s := uitest.New(t)
	for i := range 40 {
		id := s.Task(t, task.Running, queuetest.OnQueue("p/waits"))
		exec(t, s, `UPDATE runs SET scheduled = now() - interval '10 minutes', started = now() - interval '10 minutes' + $2 * interval '1 second' WHERE task_id = $1`, id, (i*17)%101)
	}
	list := number(t, s, `SELECT (extract(epoch FROM started - scheduled))::int FROM runs r JOIN tasks t USING (task_id) WHERE task_queue_id = 'p/waits' ORDER BY started - scheduled OFFSET 37 LIMIT 1`) // the 38th of 40
	want(t, admin(t, s).Get(t, ui.Path("p/waits")), http.StatusOK, "#waits", "/ "+fmt.Sprintf("%dm %02ds", list/60, list%60), "40 runs")
}

// TestPendingOnThePage: check W5 with what the page shows; the order itself is tested with the queue.
func TestPendingOnThePage(t *testing.T) {
	s := uitest.New(t)
	priorities := task.Priorities()
	groups := []string{slug.New(), slug.New(), slug.New()}
	for i := range 200 {
		s.Task(t, task.Pending, queuetest.OnQueue("p/line"), queuetest.In(groups[i%3]), func(d *task.Definition) { d.Priority = priorities[(i*5)%len(priorities)] })
	}
	d := s.Browser(t).Get(t, ui.Path("p/line")+"?tab=pending")
	var shown, got []string
	for _, n := range d.Find("#pending tbody tr") {
		shown = append(shown, strings.TrimPrefix(uitest.Attr(n, "data-href"), "/tasks/"))
	}
	for {
		list, err := s.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: "p/line", WorkerGroup: "g", WorkerID: "w", Tasks: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		got = append(got, list[0].Status.TaskID)
	}
	if diff := cmp.Diff(got, shown); diff != "" || len(shown) != 200 {
		t.Errorf("%d are shown, in an order that is not that of claims: %s", len(shown), diff)
	}
}

func TestQuarantine(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	const pool = "p/many"
	var form url.Values
	choose := func(act string) url.Values {
		form = url.Values{"act": {act}, "until": {time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04")}, "reason": {"the rack is on fire"}}
		for i := range 50 {
			form.Add("worker", fmt.Sprintf("rack/m-%d", i))
		}
		return form
	}
	exec(t, s, `INSERT INTO task_queues (task_queue_id) VALUES ($1)`, pool)
	exec(t, s, `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) SELECT $1, 'rack', 'm-' || i FROM generate_series(0, 59) i`, pool)
	id := claims(t, s, pool, "m-0", task.Completed)[0]
	trail := `SELECT count(*) FROM auth_audit WHERE entity_type = 'worker'`

	t.Run("fifty workers, one confirmation, fifty records, a result each", func(t *testing.T) { // check W9
		form := choose("quarantine")
		form.Add("worker", "rack/no-such")
		d := send(t, b, ui.Path(pool)+"?tab=workers", form)
		want(t, d, http.StatusOK, "#results li", "rack/m-0 in quarantine until", "rack/m-49 in quarantine until", "rack/no-such", "is not known")
		if n := len(d.Find("#results li")); n != 51 {
			t.Errorf("%d results", n)
		}
		if n := number(t, s, trail); n != 50 {
			t.Errorf("%d audit records", n)
		}
	})
	t.Run("they are shown with the others, marked, and alone", func(t *testing.T) { // check W2
		d := b.Get(t, ui.Path(pool))
		want(t, d, http.StatusOK, "#workers tbody", "rack/m-0 quarantined", "rack/m-55 idle")
		want(t, d, http.StatusOK, "#workers-count", "60 workers, 50 in quarantine")
		if n := len(b.Get(t, ui.Path(pool)+"?show=quarantined").Find("#workers tbody tr")); n != 50 {
			t.Errorf("%d in quarantine are shown alone", n)
		}
	})
	t.Run("one whose last task expired, and who stayed away for days, can be let go", func(t *testing.T) { // check W1
		exec(t, s, `UPDATE tasks SET expires = now() - interval '1 day' WHERE task_id = $1`, id)
		s.Expire(t, id)
		exec(t, s, `DELETE FROM runs WHERE task_id = $1`, id)
		exec(t, s, `UPDATE queue_workers SET last_active = now() - interval '4 days' WHERE worker_id = 'm-0'`)
		path := ui.WorkerPath(pool, "rack", "m-0")
		want(t, b.Get(t, path), http.StatusOK, "main", "quarantined", "the rack is on fire")
		d := send(t, b, path, url.Values{"act": {"lift"}})
		want(t, d, http.StatusOK, "main", "The quarantine is lifted")
		if n := number(t, s, `SELECT count(*) FROM worker_details WHERE worker_id = 'm-0' AND quarantine_until > now()`); n != 0 {
			t.Error("it is in quarantine still")
		}
	})
	t.Run("a quarantine needs a reason and a time to come", func(t *testing.T) {
		form := choose("quarantine")
		form.Set("reason", " ")
		want(t, send(t, b, ui.Path(pool), form), http.StatusBadRequest, "#results", "needs a reason")
		form = choose("quarantine")
		form.Set("until", "2020-01-01T00:00")
		want(t, send(t, b, ui.Path(pool), form), http.StatusBadRequest, "#results", "has passed")
		want(t, send(t, b, ui.Path(pool), url.Values{"act": {"lift"}}), http.StatusBadRequest, "#results", "No worker is chosen")
	})
	t.Run("who may not, is told for each worker", func(t *testing.T) {
		dev := s.Browser(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		want(t, send(t, dev, ui.Path(pool), choose("lift")), http.StatusOK, "#results li", "queue:quarantine-worker:p/many/rack/m-7")
		want(t, dev.Post(t, ui.Path(pool), choose("lift")), http.StatusForbidden, "main", "too old") // without the token
	})
	t.Run("all are let go", func(t *testing.T) {
		send(t, b, ui.Path(pool), choose("lift"))
		if n := number(t, s, `SELECT count(*) FROM worker_details WHERE quarantine_until > now()`); n != 0 {
			t.Errorf("%d are in quarantine still", n)
		}
	})
}

// TestSuspectMachine: check W8.
func TestSuspectMachine(t *testing.T) {
	s := uitest.New(t)
	const pool = "p/rack"
	exec(t, s, `INSERT INTO task_queues (task_queue_id) VALUES ($1)`, pool)
	group := s.Status(t, s.Task(t, task.Completed)).TaskGroupID
	runs := func(worker string, n, failed int) {
		for i := range n {
			state := "completed"
			if i < failed {
				state = "failed"
			}
			id := slug.New()
			exec(t, s, `INSERT INTO tasks SELECT $1, $2, scheduler_id, project_id, $3, priority, retries, retries_left, $4, true, deadline, expires FROM tasks LIMIT 1`, id, pool, group, state)
			exec(t, s, `INSERT INTO runs (task_id, run_id, state, reason_created, reason_resolved, worker_group, worker_id, scheduled, started, resolved)
				VALUES ($1, 0, $2, 'scheduled', $2, 'rack', $3, now() - interval '3 minutes', now() - interval '2 minutes', now())`, id, state, worker)
			exec(t, s, `INSERT INTO worker_details AS d (task_queue_id, worker_group, worker_id, recent) VALUES ($1, 'rack', $2, ARRAY[$3 || '/0'])
				ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET recent = d.recent || excluded.recent`, pool, worker, id)
		}
		exec(t, s, `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ($1, 'rack', $2)`, pool, worker)
	}
	runs("bad", 10, 8)
	for i := range 15 {
		runs(fmt.Sprintf("good-%d", i), 20, i%3/2) // 5 of 300; with the bad one 13 of 310, that is 4 %
	}
	b := s.Browser(t)
	want(t, b.Get(t, ui.Path(pool)), http.StatusOK, ".suspects", "1 suspect machine", "rack/bad failed 8 of 10", "which fails 4 %")
	want(t, b.Get(t, ui.WorkerPath(pool, "rack", "bad")), http.StatusOK, "#suspect", "Suspect machine", "8 of 10", "80 %", "fails 4 %")
	if d := b.Get(t, ui.WorkerPath(pool, "rack", "good-2")); len(d.Find("#suspect")) != 0 {
		t.Error("one failure of twenty makes a suspect")
	}
	if got := len(b.Get(t, ui.Path(pool)+"?show=suspect").Find("#workers tbody tr")); got != 1 {
		t.Errorf("%d are shown as suspects", got)
	}
}

// TestCost: check W7.
func TestCost(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	s.WorkerPool(t, "p/free", "static", `{}`)
	claims(t, s, "p/free", "m", task.Completed)
	if d := b.Get(t, "/worker-manager"); strings.Contains(d.Text("#pools thead"), "Cost") || strings.Contains(b.Get(t, ui.Path("p/free")).Text("nav.tabs"), "Cost") {
		t.Error("there are costs without a price")
	}
	s.WorkerPool(t, "p/dear", "static", `{"pricePerHour": 3.17, "currency": "EUR"}`)
	exec(t, s, `INSERT INTO pool_workers (worker_pool_id, worker_group, worker_id, provider_id, state, capacity, expires) SELECT 'p/dear', 'rack', 'm-' || i, 'static', 'running', 1 + i % 3, now() + interval '1 day' FROM generate_series(0, 4) i`)
	var ids []string
	for i := range 60 {
		ids = append(ids, claims(t, s, "p/dear", fmt.Sprintf("m-%d", i%6), task.Completed)...)
		exec(t, s, `UPDATE runs SET started = resolved - $2 * interval '1 second', scheduled = resolved - interval '3 hours' WHERE task_id = $1`, ids[i], 61.7*float64(i))
	}
	want(t, b.Get(t, "/worker-manager"), http.StatusOK, "#pools thead", "Cost an hour")
	want(t, b.Get(t, "/worker-manager"), http.StatusOK, "#pools tbody", "€15.85") // five workers
	d := b.Get(t, ui.Path("p/dear")+"?tab=cost")
	var shown float64
	if err := json.Unmarshal([]byte(uitest.Attr(d.Find("#cost-total")[0], "data-amount")), &shown); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	statuses, err := s.Queue.Statuses(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range statuses {
		run := status.Runs[0]
		capacity := map[string]float64{"m-0": 1, "m-1": 2, "m-2": 3, "m-3": 1, "m-4": 2, "m-5": 1}[run.WorkerID] // nobody knows m-5: it counts whole
		sum += 3.17 / capacity * run.Resolved.Sub(run.Started.Time).Hours()
	}
	if shown-sum > 0.005 || sum-shown > 0.005 || sum < 1 {
		t.Errorf("the page says %f, the tasks cost %f", shown, sum)
	}
	want(t, d, http.StatusOK, "#costs", fmt.Sprintf("€%.2f", sum))
}

func TestEditing(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	s.WorkerPool(t, "p/edit", "cloud", twoConfigs)
	path := ui.Path("p/edit") + "?tab=config"
	fill := func(d *uitest.Document, act, config string) url.Values {
		provider := "cloud"
		return url.Values{"act": {act}, "seen": {uitest.Attr(d.Find("input[name=seen]")[0], "value")}, "provider": {provider}, "owner": {"ada@example.com"}, "description": {"Of a **test**."}, "config": {config}}
	}
	config := "minCapacity: 0\nmaxCapacity: 12\nlaunchConfigs:\n- workerManager: {launchConfigId: small, initialWeight: 0.25}\n- workerManager: {launchConfigId: large}\n  args: [--capacity, '1']\n"
	before := b.Get(t, path)
	t.Run("what changes is shown before it is saved", func(t *testing.T) {
		d := send(t, b, path, fill(before, "review", config))
		want(t, d, http.StatusOK, "#review", "What changes", "- maxCapacity: 8", "+ maxCapacity: 12")
		if strings.Contains(d.Text("#review .in")+d.Text("#review .out"), "launchConfigId") {
			t.Errorf("more differs than was changed: %s", d.Text("#review"))
		}
		d = send(t, b, path, fill(before, "save", config))
		want(t, d, http.StatusOK, "main", "The pool is saved", "of 12")
	})
	t.Run("who edits what somebody changed meanwhile is shown how it differs, and nothing is lost", func(t *testing.T) {
		d := send(t, b, path, fill(before, "save", strings.ReplaceAll(config, "12", "20")))
		want(t, d, http.StatusConflict, "#conflict", "Somebody changed the pool")
		want(t, d, http.StatusConflict, "#review", "- maxCapacity: 12", "+ maxCapacity: 20", "Save mine all the same")
		if !strings.Contains(d.Text("textarea[name=config]"), "maxCapacity: 20") {
			t.Error("what was written is lost")
		}
		want(t, send(t, b, path, fill(d, "save", strings.ReplaceAll(config, "12", "20"))), http.StatusOK, "main", "of 20")
	})
	t.Run("what does not fit is said, and what was written stays", func(t *testing.T) {
		now := b.Get(t, path)
		want(t, send(t, b, path, fill(now, "review", "a: [")), http.StatusBadRequest, ".field-error", "neither YAML nor JSON")
		d := send(t, b, path, fill(now, "save", "minCapacity: many\n"))
		want(t, d, http.StatusBadRequest, ".field-error", "config.minCapacity")
		if !strings.Contains(d.Text("textarea[name=config]"), "minCapacity: many") {
			t.Error("what was written is lost")
		}
	})
	t.Run("a launch config is archived", func(t *testing.T) {
		d := send(t, b, ui.Path("p/edit")+"?tab=launch-configs", url.Values{"act": {"archive"}, "config": {"small"}})
		want(t, d, http.StatusOK, "#launch tbody", "large", "small archived")
	})
	t.Run("one that is due for deletion can be changed still", func(t *testing.T) { // check W4
		exec(t, s, `INSERT INTO pool_workers (worker_pool_id, worker_group, worker_id, provider_id, state, capacity, expires) VALUES ('p/edit', 'g', 'w', 'cloud', 'running', 1, now() + interval '1 day')`)
		d := send(t, b, path, url.Values{"act": {"delete"}, "confirm": {"p/edit"}})
		want(t, d, http.StatusOK, "main", "due for deletion", "1 is there")
		want(t, b.Get(t, "/worker-manager"), http.StatusOK, "#pools", "p/edit due for deletion")
		d = send(t, b, path, fill(d, "save", strings.ReplaceAll(config, "12", "3")))
		want(t, d, http.StatusOK, "main", "The pool is saved")
		if len(d.Find("#leaving")) != 0 || !strings.Contains(d.Text(".tiles"), "of 3") {
			t.Errorf("it is due for deletion still: %s", d.Text("main"))
		}
	})
	t.Run("a worker is told to end", func(t *testing.T) {
		at := ui.WorkerPath("p/edit", "g", "w")
		want(t, b.Get(t, at), http.StatusOK, "main", "Terminate w")
		want(t, send(t, b, at, url.Values{"act": {"terminate"}}), http.StatusOK, "main", "told to end", "stopping")
	})
	t.Run("all of it is in the trail", func(t *testing.T) {
		if n := number(t, s, `SELECT count(*) FROM auth_audit WHERE entity_type = 'worker-pool' AND entity_id = 'p/edit' AND client_id = $1`, uitest.Admin); n < 5 {
			t.Errorf("%d records", n)
		}
	})
}
