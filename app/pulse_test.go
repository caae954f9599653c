package app

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
)

// The references of the exchanges fit their schema, are in the manifest, and every schema that they
// and the messages' schemas name is served.
func TestReferencesOfExchangesAreServed(t *testing.T) {
	references, err := exchangeReferences("")
	if err != nil {
		t.Fatal(err)
	}
	services := []web.Service{queueapi.Service(queue.New(queue.Deps{})), authapi.Service(nil)}
	handler, err := web.Mount(services, webtest.As("someone"), web.Options{RootURL: "https://ci.example", References: references})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) map[string]any {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); w.Code != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", path, w.Code, err)
		}
		return doc
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft6)
	schema := get("/schemas/common/exchanges-reference-v0.json")
	delete(schema, "$schema")
	delete(schema, "$id")
	if err := compiler.AddResource("test:///reference", schema); err != nil {
		t.Fatal(err)
	}
	form, err := compiler.Compile("test:///reference")
	if err != nil {
		t.Fatal(err)
	}
	listed, _ := get("/references/manifest.json")["references"].([]any)
	for _, service := range []string{"queue", "auth"} {
		path := "/references/" + service + "/v1/exchanges.json"
		if !slices.Contains(listed, any("https://ci.example"+path)) {
			t.Errorf("%s is not in the manifest", path)
		}
		doc := get(path)
		if err := form.Validate(any(doc)); err != nil {
			t.Error(err)
		}
		if doc["exchangePrefix"] != "exchange/taskcluster-"+service+"/v1/" {
			t.Errorf("the prefix is %v", doc["exchangePrefix"])
		}
		for _, e := range doc["entries"].([]any) {
			file := "/schemas/" + service + "/" + strings.TrimSuffix(e.(map[string]any)["schema"].(string), "#")
			for _, ref := range named(get(file)) {
				if other, _, _ := strings.Cut(ref, "#"); other != "" {
					get("/schemas/" + service + "/v1/" + other)
				}
			}
		}
	}
}

// named lists what a schema refers to.
func named(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if text, ok := member.(string); ok && name == "$ref" {
				refs = append(refs, text)
			}
			refs = append(refs, named(member)...)
		}
	case []any:
		for _, member := range v {
			refs = append(refs, named(member)...)
		}
	}
	return refs
}

func TestAServerPublishesOnRabbitMQ(t *testing.T) {
	node := rabbittest.Start(t)
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	database, dir := pgtest.URL(t), t.TempDir()
	a, stop := published(t, database, dir, node.URL())
	defer func() { stop() }()
	const exchange = "exchange/ours-auth/v1/role-created"
	if err := channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind("q", "#", exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	messages, err := channel.Consume("q", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	// comes makes a role and waits for the message about it.
	comes := func(a *App, name string) {
		t.Helper()
		if _, err := a.auth.CreateRole(t.Context(), RootClient, name, auth.RoleInput{}); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(time.Minute)
		for role := ""; role != name; {
			select {
			case m := <-messages:
				var body struct{ RoleID string }
				if err := json.Unmarshal(m.Body, &body); err != nil {
					t.Fatal(err)
				}
				role = body.RoleID // those of the start come first, if they do
			case <-deadline:
				t.Fatalf("no message of %s comes", name)
			}
		}
	}
	publishes(t, a)
	comes(a, "some-role")

	// docs/operations/keys.md: at RabbitMQ, then in the configuration.
	const fresh = "another-password"
	node.Control(t, "change_password", rabbittest.User, fresh)
	if other, err := amqp.Dial(node.URL()); err == nil {
		_ = other.Close() // it is an error already
		t.Error("the old password holds")
	}
	comes(a, "role-before-the-restart")
	began := time.Now()
	stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	a, stop = published(t, database, dir, "amqp://"+rabbittest.User+":"+fresh+"@"+node.Address()+"/")
	publishes(t, a)
	comes(a, "role-after-the-restart")
}

// published starts a server that publishes on a RabbitMQ; all of a test share a database.
func published(t *testing.T, database, dir, broker string) (*App, func()) {
	t.Helper()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Start(t.Context(), Config{
		RootURL: "http://" + listener.Addr().String(), Listener: listener, DatabaseURL: database,
		DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Pulse: pulse.Config{URL: broker, Namespace: "ours"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, sync.OnceFunc(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// publishes waits until the server is the one that publishes.
func publishes(t *testing.T, a *App) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		list, err := a.feed.Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(c event.Consumer) bool { return c.Name == pulse.Consumer && c.Holder != "" }) {
			return
		}
		select {
		case <-deadline:
			t.Fatal("nobody publishes")
		case <-tick.C:
		}
	}
}

func TestAConfigurationWithABadPulseURLKeepsTheSecret(t *testing.T) {
	c := Config{DatabaseURL: "postgres://x", DataDir: "d"}
	c.Pulse.URL = "https://user:hunter2@broker"
	err := c.Check()
	if err == nil || !strings.Contains(err.Error(), "TREELINE_PULSE_URL") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
