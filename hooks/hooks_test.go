package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), hooks.Statements()...) }

// tasks stands for the queue: it takes tasks as that does, once each.
type tasks struct {
	mu      sync.Mutex
	created map[string]map[string]any
	asked   []hooks.Creation
	order   []string
	fails   func(n int) error // of the n-th call, before anything happens
	breaks  func(n int) error // of the n-th call, after the task was created
}

func (q *tasks) create(_ context.Context, c hooks.Creation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = append(q.asked, c)
	if q.fails != nil {
		if err := q.fails(len(q.asked)); err != nil {
			return err
		}
	}
	var d map[string]any
	if err := json.Unmarshal(c.Definition, &d); err != nil {
		return fault.New(fault.BadInput, "no task")
	}
	if old, there := q.created[c.TaskID]; there {
		if cmp.Equal(old, d) {
			return nil
		}
		return fault.New(fault.Conflict, "Task %s exists already, with another definition.", c.TaskID)
	}
	if q.created == nil {
		q.created = map[string]map[string]any{}
	}
	q.created[c.TaskID] = d
	q.order = append(q.order, c.TaskID)
	if q.breaks != nil {
		return q.breaks(len(q.asked))
	}
	return nil
}

func (q *tasks) ids() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.order)
}

func (q *tasks) definition(id string) map[string]any {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.created[id])
}

// fixture is hooks on a database, and where their tasks go.
type fixture struct {
	*hooks.Hooks
	t        *testing.T
	pool     *pgxpool.Pool
	tasks    *tasks
	deps     hooks.Deps
	failures []hooks.Failure
	log      strings.Builder
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	fx := &fixture{t: t, pool: pgtest.DB(t), tasks: &tasks{}}
	var mu sync.Mutex
	fx.deps = hooks.Deps{
		Pool: fx.pool, Ring: ring, Create: fx.tasks.create, Log: slog.New(slog.NewTextHandler(&fx.log, nil)),
		Failed: func(_ context.Context, f hooks.Failure) {
			mu.Lock()
			defer mu.Unlock()
			fx.failures = append(fx.failures, f)
		},
		States: func(_ context.Context, ids []string) (map[string]task.State, error) {
			states := map[string]task.State{}
			for _, id := range ids {
				if fx.tasks.definition(id) != nil {
					states[id] = task.Running
				}
			}
			return states, nil
		},
	}
	fx.Hooks = hooks.New(fx.deps)
	return fx
}

const template = `{"provisionerId": "p", "workerType": "w", "payload": {"by": "${firedBy}", "now": {"$eval": "now"}}, "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"}}`

func hook(id string, change ...func(*hooks.Hook)) hooks.Hook {
	h := hooks.Hook{
		Group: "project-a", ID: id, Task: json.RawMessage(template),
		Metadata: hooks.Metadata{Name: "Nightly", Description: "d", Owner: "ada@example.com", EmailOnError: true},
	}
	for _, f := range change {
		f(&h)
	}
	return h
}

func daily(h *hooks.Hook) { h.Schedule = []string{"0 3 * * *"} }

func anyPayload(h *hooks.Hook) { h.TriggerSchema = json.RawMessage(`{}`) }

// must creates a hook.
func (fx *fixture) must(h hooks.Hook) hooks.Hook {
	fx.t.Helper()
	made, err := fx.Create(fx.t.Context(), "ada", h)
	if err != nil {
		fx.t.Fatal(err)
	}
	return made
}

// due makes a hook's date the one that was d ago, by the database's clock.
func (fx *fixture) due(id string, d time.Duration) time.Time {
	fx.t.Helper()
	var date time.Time
	err := fx.pool.QueryRow(fx.t.Context(), `UPDATE hook_definitions SET next_date = date_trunc('second', now()) - $1::interval, due = date_trunc('second', now()) - $1::interval
		WHERE hook_id = $2 RETURNING next_date`, d, id).Scan(&date)
	if err != nil {
		fx.t.Fatal(err)
	}
	return date.UTC()
}

// expire ends the lease of a hook's claim, as time would.
func (fx *fixture) expire(id string) {
	fx.t.Helper()
	if _, err := fx.pool.Exec(fx.t.Context(), `UPDATE hook_definitions SET due = now() WHERE hook_id = $1`, id); err != nil {
		fx.t.Fatal(err)
	}
}

func (fx *fixture) round() int {
	fx.t.Helper()
	n, _, err := fx.Round(fx.t.Context())
	if err != nil {
		fx.t.Fatal(err)
	}
	return n
}

func (fx *fixture) status(id string) hooks.Status {
	fx.t.Helper()
	s, err := fx.Status(fx.t.Context(), "project-a", id)
	if err != nil {
		fx.t.Fatal(err)
	}
	return s
}

func (fx *fixture) fires(id string) []hooks.LastFire {
	fx.t.Helper()
	list, err := fx.LastFires(fx.t.Context(), "project-a", id, hooks.Mark{}, 1000)
	if err != nil && !errors.Is(err, fault.NotFound) {
		fx.t.Fatal(err)
	}
	return list
}

func (fx *fixture) events() []string {
	fx.t.Helper()
	rows, err := fx.pool.Query(fx.t.Context(), `SELECT kind || ' ' || payload FROM events ORDER BY seq`)
	if err != nil {
		fx.t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			fx.t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestChanges(t *testing.T) {
	fx := newFixture(t)
	ctx := t.Context()
	made := fx.must(hook("nightly", daily))
	want := hook("nightly", daily)
	want.Bindings, want.TriggerSchema = []hooks.Binding{}, json.RawMessage(`{"additionalProperties":false,"type":"object"}`)
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	got, err := fx.Get(ctx, "project-a", "nightly")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	t.Run("the same again changes nothing", func(t *testing.T) {
		same := hook("nightly", daily)
		same.Task = json.RawMessage(strings.Replace(template, ": ", " :  ", 3))
		if _, err := fx.Create(ctx, "ada", same); err != nil {
			t.Error(err)
		}
		if err := fx.Ensure(ctx, "ada", same); err != nil {
			t.Error(err)
		}
	})
	t.Run("another of the name is refused", func(t *testing.T) {
		if _, err := fx.Create(ctx, "ada", hook("nightly")); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
	})
	t.Run("an update wants a hook", func(t *testing.T) {
		if _, err := fx.Update(ctx, "ada", hook("none")); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := fx.Update(ctx, "ada", hook("nightly", daily, anyPayload)); err != nil {
			t.Error(err)
		}
	})
	t.Run("ensuring makes it so", func(t *testing.T) {
		for _, h := range []hooks.Hook{hook("nightly", anyPayload), hook("second"), hook("second")} {
			if err := fx.Ensure(ctx, "ada", h); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("removing twice is fine", func(t *testing.T) {
		for range 2 {
			if err := fx.Remove(ctx, "ada", "project-a", "second"); err != nil {
				t.Error(err)
			}
		}
		if _, err := fx.Get(ctx, "project-a", "second"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	events := []string{
		`hook-created {"hookGroupId":"project-a","hookId":"nightly"}`, `hook-updated {"hookGroupId":"project-a","hookId":"nightly"}`,
		`hook-updated {"hookGroupId":"project-a","hookId":"nightly"}`, `hook-created {"hookGroupId":"project-a","hookId":"second"}`,
		`hook-deleted {"hookGroupId":"project-a","hookId":"second"}`,
	}
	if diff := cmp.Diff(events, fx.events()); diff != "" {
		t.Error(diff)
	}
	groups, err := fx.Groups(ctx)
	list, err2 := fx.List(ctx, "project-a")
	if !slices.Equal(groups, []string{"project-a"}) || len(list) != 1 || err != nil || err2 != nil {
		t.Error(groups, list, err, err2)
	}
	if _, err := fx.List(ctx, "none"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestManyCreateTheSameHookAtOnce(t *testing.T) {
	fx := newFixture(t)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if err := fx.Ensure(t.Context(), "ada", hook("one", daily)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := fx.events(); len(got) != 1 {
		t.Error(got)
	}
}

func TestBadDefinitionsAreRefused(t *testing.T) {
	fx := newFixture(t)
	for name, tt := range map[string]struct {
		change func(h *hooks.Hook)
		want   string
	}{
		"a group with a slash":      {func(h *hooks.Hook) { h.Group = "a/b" }, "hookGroupId"},
		"a long id":                 {func(h *hooks.Hook) { h.ID = strings.Repeat("x", 1001) }, "hookId"},
		"no owner":                  {func(h *hooks.Hook) { h.Metadata.Owner = "ada" }, "e-mail"},
		"30 February":               {func(h *hooks.Hook) { h.Schedule = []string{"0 0 30 2 *"} }, "no day 30"},
		"a day no month has":        {func(h *hooks.Hook) { h.Schedule = []string{"0 0 31 2,4,6 *"} }, "no day 31"},
		"no cron expression":        {func(h *hooks.Hook) { h.Schedule = []string{"daily"} }, "write five"},
		"a schedule twice":          {func(h *hooks.Hook) { h.Schedule = []string{"0 0 * * *", "0 0 * * *"} }, "twice"},
		"a template that is a list": {func(h *hooks.Hook) { h.Task = json.RawMessage(`[]`) }, "must be an object"},
		"a huge template": {func(h *hooks.Hook) {
			h.Task = json.RawMessage(`{"a": "` + strings.Repeat("x", hooks.MaxTemplate) + `"}`)
		}, "bytes"},
		"a deep template": {func(h *hooks.Hook) {
			h.Task = json.RawMessage(`{"a": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`)
		}, "template"},
		"a schema of a billion": {func(h *hooks.Hook) { h.TriggerSchema = json.RawMessage(`{"pattern": "(((a{99}){99}){99})"}`) }, "cannot be used"},
		"a large schema": {func(h *hooks.Hook) {
			h.TriggerSchema = json.RawMessage(`{"title": "` + strings.Repeat("x", hooks.MaxSchema) + `"}`)
		}, "bytes"},
		"a schema from elsewhere":      {func(h *hooks.Hook) { h.TriggerSchema = json.RawMessage(`{"$ref": "http://example.com/x"}`) }, "only references inside"},
		"a denied exchange":            {func(h *hooks.Hook) { h.Bindings = []hooks.Binding{{"exchange/taskcluster-hooks/v1/hook-created", "#"}} }, "denied"},
		"a denied exchange of old":     {func(h *hooks.Hook) { h.Bindings = []hooks.Binding{{"exchange/taskcluster-queue/v1/task-created", "#"}} }, "denied"},
		"a long pattern":               {func(h *hooks.Hook) { h.Bindings = []hooks.Binding{{"exchange/x", strings.Repeat("a.", 200)}} }, "255"},
		"the same binding twice":       {func(h *hooks.Hook) { h.Bindings = []hooks.Binding{{"exchange/x", "#"}, {"exchange/x", "#"}} }, "twice"},
		"too many bindings":            {func(h *hooks.Hook) { h.Bindings = make([]hooks.Binding, 101) }, "101"},
		"a name that is much too long": {func(h *hooks.Hook) { h.Metadata.Name = strings.Repeat("é", 256) }, "255"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fx.Create(t.Context(), "ada", hook("bad", tt.change))
			if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.TooLarge || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%.300v, want %q", err, tt.want)
			}
		})
	}
}

func TestAFireRendersTheTemplateWithItsContext(t *testing.T) {
	fx := newFixture(t)
	ctx := t.Context()
	show := func(h *hooks.Hook) {
		h.Task = json.RawMessage(`{"payload": {"$eval": "payload"}, "extra": {"by": {"$eval": "firedBy"}, "id": {"$eval": "taskId"}, "now": {"$eval": "now"},
			"client": {"$if": "firedBy == 'triggerHook'", "then": {"$eval": "clientId"}}, "soon": {"$fromNow": "1 hour"}}}`)
		h.TriggerSchema = json.RawMessage(`{"type": "object", "properties": {"a": {"type": "integer", "default": 7}}}`)
	}
	fx.must(hook("show", show))
	got, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "show", By: hooks.TriggerHook, ClientID: "ada", Payload: json.RawMessage(`{"a": 1}`)})
	if err != nil || !slug.Valid(got.TaskID) {
		t.Fatal(got, err)
	}
	d := fx.tasks.definition(got.TaskID)
	extra, _ := d["extra"].(map[string]any)
	now, err := time.Parse(time.RFC3339, fmt.Sprint(extra["now"]))
	if err != nil || time.Since(now).Abs() > time.Minute {
		t.Error(extra["now"], err)
	}
	want := map[string]any{
		"payload": map[string]any{"a": 1.0},
		"extra":   map[string]any{"by": "triggerHook", "id": got.TaskID, "now": task.At(now).String(), "client": "ada", "soon": task.At(now.Add(time.Hour)).String()},
		"created": task.At(now).String(), "deadline": task.At(now.AddDate(0, 0, 1)).String(), "expires": task.At(now.AddDate(0, 1, 0)).String(), "taskGroupId": got.TaskID,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	asked := fx.tasks.asked[0]
	if !slices.Equal(asked.Scopes, []string{"assume:hook-id:project-a/show"}) || asked.Role != "hook-id:project-a/show" {
		t.Error(asked)
	}
	t.Run("with a token nobody is the client", func(t *testing.T) {
		got, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "show", By: hooks.TriggerHookWithToken, ClientID: "ada"})
		d := fx.tasks.definition(got.TaskID)
		extra, _ := d["extra"].(map[string]any)
		if _, there := extra["client"]; err != nil || there || extra["by"] != "triggerHookWithToken" || !cmp.Equal(d["payload"], map[string]any{}) {
			t.Error(d, err)
		}
	})
	t.Run("a payload may choose the task's id", func(t *testing.T) {
		id := slug.Nice()
		got, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "show", By: hooks.TriggerHook, Payload: json.RawMessage(`{"taskId": "` + id + `"}`)})
		if err != nil || got.TaskID != id {
			t.Error(got, err)
		}
		for _, bad := range []string{`{"taskId": "x"}`, `{"taskId": 1}`} {
			if _, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "show", By: hooks.TriggerHook, Payload: json.RawMessage(bad)}); !errors.Is(err, fault.Invalid) {
				t.Error(bad, err)
			}
		}
	})
	t.Run("a payload that does not fit makes no task", func(t *testing.T) {
		before := len(fx.tasks.ids())
		_, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "show", By: hooks.TriggerHook, Payload: json.RawMessage(`{"a": "b"}`)})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "payload.a: got string, want integer") || len(fx.tasks.ids()) != before {
			t.Error(err)
		}
	})
	t.Run("a template may decline", func(t *testing.T) {
		fx.must(hook("declines", anyPayload, func(h *hooks.Hook) { h.Task = json.RawMessage(`{"$if": "payload.go", "then": {}}`) }))
		got, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "declines", By: hooks.TriggerHook, Payload: json.RawMessage(`{"go": false}`)})
		if err != nil || !got.Declined || got.TaskID != "" || len(fx.fires("declines")) > 0 {
			t.Error(got, err)
		}
	})
	t.Run("a hook that is not there", func(t *testing.T) {
		if _, err := fx.Fire(ctx, hooks.Fire{Group: "project-a", ID: "none", By: hooks.TriggerHook}); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestErrorsOfTheQueueReachTheCaller(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("one"))
	for _, tt := range []struct {
		err  error
		kind fault.Kind
		want string
	}{
		{fault.New(fault.Forbidden, "lacks queue:create-task:*"), fault.Forbidden, "The role `hook-id:project-a/one` does not have sufficient scopes to create the task:\n\nlacks queue:create-task:*"},
		{fault.New(fault.Invalid, "the deadline lies in the past"), fault.Invalid, "createTask failed with InputError:\n\nthe deadline lies in the past"},
		{fault.New(fault.Conflict, "exists already"), fault.Invalid, "createTask failed with RequestConflict:\n\nexists already"},
		{fault.New(fault.Unavailable, "the database is away"), fault.Unavailable, "the database is away"},
	} {
		fx.tasks.fails = func(int) error { return tt.err }
		_, err := fx.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "one", By: hooks.TriggerHook})
		if fault.KindOf(err) != tt.kind || !strings.Contains(fault.Message(err), tt.want) {
			t.Errorf("%v: %v, want %q", tt.err, err, tt.want)
		}
	}
	fires := fx.fires("one")
	if len(fires) != 4 || !strings.Contains(fires[3].Error, "hook-id:project-a/one") || fires[0].State != "" {
		t.Errorf("%+v", fires)
	}
	if len(fx.failures) > 0 {
		t.Error("an owner was told of what the caller knows", fx.failures)
	}
	fx.tasks.fails = nil
	if _, err := fx.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "one", By: hooks.TriggerHook}); err != nil {
		t.Error(err)
	}
	if fires = fx.fires("one"); len(fires) != 5 || fires[0].Error != "" || fires[0].State != task.Running || fires[0].By != hooks.TriggerHook {
		t.Errorf("%+v", fires)
	}
}

func TestHostileTemplatesAreStopped(t *testing.T) {
	fx := newFixture(t)
	list := `[` + strings.TrimSuffix(strings.Repeat("1,", 300), ",") + `]`
	nest := func(inner string) string {
		for range 5 {
			inner = `{"$map": ` + list + `, "each(x)": ` + inner + `}`
		}
		return inner
	}
	double := `"x"`
	for range 40 {
		double = `{"$let": {"a": ` + double + `}, "in": "${a}${a}"}`
	}
	for name, task := range map[string]string{
		"maps in maps":             `{"payload": ` + nest(`1`) + `}`,
		"a range that never ends":  `{"payload": {"$eval": "map(range(0, 1000000000000), 'x')"}}`,
		"a long range":             `{"payload": {"$map": {"$eval": "range(0, 900000000)"}, "each(x)": 1}}`,
		"texts that double":        `{"payload": ` + double + `}`,
		"a reduce that doubles":    `{"payload": {"$reduce": ` + list + `, "initial": "xx", "each(acc, x)": "${acc}${acc}"}}`,
		"lists that double":        `{"payload": {"$reduce": ` + list + `, "initial": [1, 2], "each(acc, x)": {"$flatten": [{"$eval": "acc"}, {"$eval": "acc"}]}}}`,
		"an expression that nests": `{"payload": {"$eval": "` + strings.Repeat("(", 100000) + `1` + strings.Repeat(")", 100000) + `"}}`,
		"a division by zero":       `{"payload": {"$eval": "1 / 0"}}`,
		"an unknown name":          `{"payload": {"$eval": "payload.secret"}}`,
		"a list instead of a task": `{"$eval": "[1]"}`,
		"a date that is none":      `{"created": "soon"}`,
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			fx.must(hook(id, func(h *hooks.Hook) { h.Task = json.RawMessage(task) }))
			began := time.Now()
			_, err := fx.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: id, By: hooks.TriggerHook})
			if !errors.Is(err, fault.Invalid) || len(err.Error()) > 10000 {
				if name != "a division by zero" || err != nil { // JavaScript's Infinity
					t.Errorf("%.300v", err)
				}
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	fx := newFixture(t)
	ctx := t.Context()
	fx.must(hook("one"))
	token, err := fx.Token(ctx, "project-a", "one")
	if err != nil || !slug.Valid(token) {
		t.Fatal(token, err)
	}
	if err := fx.CheckToken(ctx, "project-a", "one", token); err != nil {
		t.Error(err)
	}
	if err := fx.CheckToken(ctx, "project-a", "one", slug.New()); !errors.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if err := fx.CheckToken(ctx, "project-a", "none", token); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := fx.Update(ctx, "ada", hook("one", daily)); err != nil {
		t.Error(err)
	}
	if kept, err := fx.Token(ctx, "project-a", "one"); err != nil || kept != token {
		t.Error("an update changed the token", err)
	}
	fresh, err := fx.ResetToken(ctx, "ada", "project-a", "one")
	if err != nil || fresh == token {
		t.Error(err)
	}
	if err := fx.CheckToken(ctx, "project-a", "one", token); !errors.Is(err, fault.Unauthenticated) {
		t.Error("the old token is good", err)
	}
	if _, err := fx.ResetToken(ctx, "ada", "project-a", "none"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	var stored string
	if err := fx.pool.QueryRow(ctx, `SELECT encode(sealed_trigger_token, 'escape') || row_to_json(d)::text FROM hook_definitions d`).Scan(&stored); err != nil || strings.Contains(stored, fresh) {
		t.Error("the token can be read in the database", err)
	}
	if strings.Contains(fx.log.String(), fresh) || strings.Contains(fx.log.String(), token) {
		t.Error("the log has a token")
	}
}

func TestFiresOfMoreThanAYearAreForgotten(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("one"))
	for range 3 {
		if _, err := fx.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "one", By: hooks.TriggerHook}); err != nil {
			t.Fatal(err)
		}
	}
	fires := fx.fires("one")
	page, err := fx.LastFires(t.Context(), "project-a", "one", hooks.Mark{Time: fires[0].Time, TaskID: fires[0].TaskID}, 1)
	if err != nil || len(page) != 1 || page[0].TaskID != fires[1].TaskID {
		t.Error(page, err)
	}
	if _, err := fx.pool.Exec(t.Context(), `UPDATE hook_fires SET fired = now() - interval '366 days' WHERE task_id <> $1`, fires[0].TaskID); err != nil {
		t.Fatal(err)
	}
	if _, err := fx.Prune(t.Context(), 365*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := fx.fires("one"); len(left) != 1 || left[0].TaskID != fires[0].TaskID {
		t.Error(left)
	}
}
