package npmtest_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/index/indexapi"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/objectapi"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
)

const rootClient = "static/test/root"

// uploads and entries join the queue to the object store and the index, as package app does.
type uploads struct{ *object.Store }

func (u uploads) Content(ctx context.Context, name string) (queue.Content, error) {
	o, err := u.Get(ctx, name)
	return queue.Content{SHA256: o.SHA256, Size: o.Size}, err
}

type entries struct{ *index.Index }

func (e entries) WriteCompleted(ctx context.Context, tx pgx.Tx, list []queue.IndexEntry) error {
	out := make([]index.Entry, len(list))
	for i, entry := range list {
		out[i] = index.Entry{Namespace: entry.Namespace, TaskID: entry.TaskID, Rank: entry.Rank, Data: entry.Data, Expires: entry.Expires}
	}
	_, err := e.Index.WriteCompleted(ctx, tx, out)
	return err
}

// startServer runs the services on a database of their own, with every answer checked against its
// schema, and returns the environment that tells a program where they are and who their operator
// is.
func startServer(t *testing.T) []string {
	t.Helper()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(end)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	root := "http://" + listener.Addr().String()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	pool := pgtest.DB(t)
	token, key := rand.Text(), []byte(rand.Text()+rand.Text())

	who, err := auth.New(ctx, pool, auth.Config{Log: log, EncryptionKey: key[:32], StaticClients: []auth.StaticClient{
		{ClientID: rootClient, AccessToken: token, Scopes: []string{"*"}},
	}})
	check(err)
	check(who.EnsureRole(ctx, "anonymous", auth.AnonymousScopes(), "Everybody."))
	objects, err := object.New(pool, object.Config{Dir: t.TempDir(), RootURL: root, URLKey: key, Log: log})
	check(err)
	indexed := index.New(pool)
	tasks := queue.New(queue.Deps{
		Pool: pool, Log: log, Wake: func() {}, Index: entries{indexed}, Uploads: uploads{objects},
		Issuer: hawk.Credentials{ClientID: rootClient, AccessToken: token},
	})
	tasks.Start(ctx)
	t.Cleanup(tasks.Stop)
	tunnel := rand.Text()
	other, err := cloud.New(cloud.Config{
		Websocktunnel: cloud.WebsocktunnelConfig{Secret: tunnel},
		Azure:         cloud.AzureConfig{Accounts: map[string]cloud.AzureAccount{"npmaccount": {Key: base64.StdEncoding.EncodeToString(key)}}},
	}, log)
	check(err)
	services := []web.Service{authapi.Service(who, authapi.WithCloud(other)), queueapi.Service(tasks), indexapi.Service(indexed), objectapi.Service(objects)}
	services = append(services, secretServices(t, pool, log)...)
	services = append(services, notifyService(t, pool, root, log), hookService(ctx, t, pool, who, tasks, log))
	services = append(services, poolService(t, pool, tasks, root, hawk.Credentials{ClientID: rootClient, AccessToken: token}, log))
	services = append(services, githubService(ctx, t, pool, who, tasks, root, log))
	handler, err := web.Mount(services, who, web.Options{RootURL: root, Log: log, CheckOutput: true})
	check(err)
	front := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- front.Serve(listener) }()
	t.Cleanup(func() {
		end()
		_ = front.Close() // ends with the test
		<-ended
	})
	return []string{"TASKCLUSTER_ROOT_URL=" + root, "TASKCLUSTER_CLIENT_ID=" + rootClient, "TASKCLUSTER_ACCESS_TOKEN=" + token, "NPMTEST_TUNNEL_SECRET=" + tunnel}
}
