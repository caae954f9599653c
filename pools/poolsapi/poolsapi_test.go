package poolsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/poolsapi"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/local"
	"github.com/treeline-ci/treeline/pools/provider/static"
)

type object = map[string]any

// door is a server with pools behind it and one caller in front of it.
type door struct {
	*testing.T
	pools *pools.Pools
	url   string
}

func open(t *testing.T, scopes ...string) door {
	t.Helper()
	here, err := local.New(local.Config{Dir: t.TempDir(), Program: "/bin/false", Secret: []byte("k")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := pools.Seen{WorkerGroup: "lab", WorkerID: "w1", Details: object{
		"workerGroup": "lab", "workerId": "w1", "firstClaim": "2026-11-21T00:00:00.000Z", "lastDateActive": "2026-11-21T00:00:00.000Z", "taskQueueId": "p/q",
	}}
	p, err := pools.New(pools.Deps{
		Pool: pgtest.DB(t), RootURL: "http://tc", Issuer: hawk.Credentials{ClientID: "issuer", AccessToken: "a-token-that-is-long-enough-for-it"},
		Providers: map[string]provider.Provider{"static": static.Provider{}, "local": here},
		Counts:    func(context.Context, string) (estimate.Load, error) { return estimate.Load{}, nil },
		Seen: func(context.Context, string) ([]pools.Seen, error) {
			alone := seen
			alone.WorkerID, alone.QuarantineUntil = "w0", time.Now().Add(time.Hour)
			alone.Details = object{"workerGroup": "lab", "workerId": "w0"}
			return []pools.Seen{seen, alone}, nil
		},
		SeenOne: func(_ context.Context, k pools.Key) (pools.Seen, bool, error) {
			one := seen
			one.Details = object{"provisionerId": "p", "workerType": "q", "workerGroup": k.WorkerGroup, "workerId": k.WorkerID, "recentTasks": []any{},
				"expires": "2026-11-21T00:00:00.000Z", "firstClaim": "2026-11-21T00:00:00.000Z"}
			return one, k.WorkerID == "w1", nil
		},
		WorkerGone: func(context.Context, pools.Key) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return door{T: t, pools: p}.as("ada", scopes...)
}

// as is the same pools with another caller.
func (d door) as(client string, scopes ...string) door {
	d.Helper()
	handler, err := web.Mount([]web.Service{poolsapi.Service(d.pools)}, webtest.As(client, scopes...), web.Options{RootURL: "http://tc", CheckOutput: true})
	if err != nil {
		d.Fatal(err)
	}
	server := httptest.NewServer(handler)
	d.Cleanup(server.Close)
	d.url = server.URL + "/api/worker-manager/v1"
	return d
}

// want expects a status, and of errors a code.
func (d door) want(status int, code, method, path string, body any) object {
	d.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, payload)
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	var answer object
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		d.Fatal(method, path, err)
	}
	if found, _ := answer["code"].(string); resp.StatusCode != status || found != code {
		d.Errorf("%s %s: %d %v, want %d %s", method, path, resp.StatusCode, answer, status, code)
	}
	return answer
}

func definition(providerID string, config object) object {
	return object{"providerId": providerID, "description": "d", "owner": "ada@example.com", "emailOnError": false, "config": config}
}

const poolPath = "/worker-pool/p%2Fq"

func TestPoolsAndTheirPages(t *testing.T) {
	d := open(t, "*")
	config := object{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": []any{object{}, object{"env": object{"A": "1"}}}}
	for i := range 5 {
		d.want(200, "", "PUT", fmt.Sprintf("/worker-pool/p%%2Fq%d", i), definition("local", config))
	}
	d.want(200, "", "PUT", "/worker-pool/p/q", definition("local", config)) // a slash that is none of the path's
	for list, path := range map[string]string{"workerPools": "/worker-pools", "workerPoolsStats": "/worker-pools/stats", "providers": "/providers", "workerPoolLaunchConfigs": poolPath + "/launch-configs"} {
		all := len(d.want(200, "", "GET", path, nil)[list].([]any))
		n, token := 0, ""
		for range 10 {
			page := d.want(200, "", "GET", path+"?limit=1&continuationToken="+url.QueryEscape(token), nil)
			n += len(page[list].([]any))
			if token, _ = page["continuationToken"].(string); token == "" {
				break
			}
		}
		if n != all || all < 2 {
			t.Errorf("%s: %d of %d by pages of one", list, n, all)
		}
	}
	if got := len(d.want(200, "", "GET", poolPath+"/stats", nil)["launchConfigStats"].([]any)); got != 2 {
		t.Errorf("stats of %d launch configs", got)
	}
	d.want(400, "InputError", "POST", poolPath, object{"workerPoolId": "p/other", "providerId": "local", "description": "d", "owner": "ada@example.com", "emailOnError": false, "config": config})
	d.want(400, "InputValidationError", "POST", poolPath, definition("local", object{"minCapacity": -1}))
	d.want(400, "InputError", "POST", poolPath, definition("none", config))
	d.want(400, "InvalidRequestArguments", "PUT", "/worker-pool/p%2FQ", definition("local", config))
	d.want(404, "ResourceNotFound", "POST", "/worker-pool/p%2Fnone", definition("local", config))
	d.want(404, "ResourceNotFound", "GET", "/worker-pool/p%2Fnone/stats", nil)
	d.want(404, "ResourceNotFound", "DELETE", "/worker-pool/p%2Fnone", nil)
	other := object{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": []any{object{"workerManager": object{"launchConfigId": "one"}}}}
	d.want(200, "", "POST", poolPath, definition("local", other))
	other["launchConfigs"] = []any{object{"workerManager": object{"launchConfigId": "one"}, "env": object{"B": "2"}}}
	d.want(409, "RequestConflict", "POST", poolPath, definition("local", other))
	if got := len(d.want(200, "", "GET", poolPath+"/launch-configs?includeArchived=true", nil)["workerPoolLaunchConfigs"].([]any)); got != 3 {
		t.Errorf("%d launch configs with archived ones", got)
	}
}

func TestWorkersOfTheQueue(t *testing.T) {
	d := open(t, "*")
	d.want(200, "", "PUT", poolPath, definition("static", object{}))
	d.want(200, "", "PUT", poolPath, definition("static", object{})) // for one whose answer was lost
	secret := "0123456789012345678901234567890123456789abcd"
	d.want(200, "", "PUT", "/workers/p%2Fq/lab/w1", object{"expires": "2100-01-01T00:00:00.000Z", "capacity": 3, "providerInfo": object{"staticSecret": secret}})
	d.want(400, "InputValidationError", "PUT", "/workers/p%2Fq/lab/w2", object{"expires": "2100-01-01T00:00:00.000Z", "providerInfo": object{"staticSecret": "short"}})
	for _, n := range []float64{2e6, 3e9, 1e18} { // the last two are no 32-bit number
		d.want(400, "InputError", "PUT", "/workers/p%2Fq/lab/w2", object{"expires": "2100-01-01T00:00:00.000Z", "capacity": int64(n), "providerInfo": object{"staticSecret": secret}})
		config := object{"workerManager": object{"capacityPerInstance": int64(n)}}
		d.want(400, "InputValidationError", "PUT", "/worker-pool/p%2Fmany", definition("local", object{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": []any{config}}))
	}
	const queue = "/provisioners/p/worker-types/q/workers"
	states := func(query string) (out []string) {
		for _, w := range d.want(200, "", "GET", queue+query, nil)["workers"].([]any) {
			w := w.(object)
			out = append(out, fmt.Sprint(w["workerId"], " ", w["state"], " ", w["capacity"]))
		}
		return out
	}
	for query, want := range map[string][]string{
		"":                                {"w0 standalone <nil>", "w1 running 3"},
		"?workerState=running":            {"w1 running 3"},
		"?workerState=standalone":         {"w0 standalone <nil>"},
		"?quarantined=true":               {"w0 standalone <nil>"},
		"?quarantined=false":              {"w1 running 3"},
		"?launchConfigId=none":            nil,
		"?limit=1&continuationToken=W10K": {"w0 standalone <nil>"},
	} {
		if diff := cmp.Diff(want, states(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if w := d.want(200, "", "GET", queue+"/lab/w1", nil); w["providerId"] != "static" || w["state"] != "running" {
		t.Errorf("%v", w)
	}
	d.want(404, "ResourceNotFound", "GET", queue+"/lab/none", nil)
	d.want(400, "InvalidRequestArguments", "GET", queue+"?workerState=dead", nil)
	reason := d.want(200, "", "GET", "/workers/p%2Fq/lab/w1/should-terminate", nil)
	if diff := cmp.Diff(object{"terminate": false, "reason": "needed"}, reason); diff != "" {
		t.Error(diff)
	}
	for range 3 {
		d.want(200, "", "POST", "/worker-pool-errors/p%2Fq", object{"workerGroup": "lab", "workerId": "w1", "kind": "worker-error", "title": "T", "description": "D", "extra": object{}})
	}
	first := d.want(200, "", "GET", "/worker-pool-errors/p%2Fq?limit=2", nil)
	rest := d.want(200, "", "GET", "/worker-pool-errors/p%2Fq?continuationToken="+first["continuationToken"].(string), nil)
	if a, b := len(first["workerPoolErrors"].([]any)), len(rest["workerPoolErrors"].([]any)); a != 2 || b != 1 {
		t.Errorf("pages of %d and %d errors", a, b)
	}
	if s := d.want(200, "", "GET", "/worker-pool-errors/stats", nil); s["totals"].(object)["total"] != 3.0 {
		t.Errorf("%v", s)
	}
	d.want(404, "ResourceNotFound", "POST", "/worker-pool-errors/p%2Fq", object{"workerGroup": "lab", "workerId": "none", "kind": "k", "title": "T", "description": "D", "extra": object{}})
}

func TestScopes(t *testing.T) {
	d := open(t, "*")
	d.want(200, "", "PUT", poolPath, definition("static", object{}))
	worker := object{"expires": "2100-01-01T00:00:00.000Z", "providerInfo": object{"staticSecret": "0123456789012345678901234567890123456789abcd"}}
	d.want(200, "", "PUT", "/workers/p%2Fq/g/w1", worker)
	report := object{"workerGroup": "g", "workerId": "w1", "kind": "k", "title": "T", "description": "D", "extra": object{}}
	const wm = "worker-manager:"
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		scopes       []string
	}{
		{"GET", "/providers", nil, 200, []string{wm + "list-providers"}},
		{"POST", poolPath, definition("static", object{}), 200, []string{wm + "manage-worker-pool:p/q", wm + "provider:static"}},
		{"GET", poolPath, nil, 200, []string{wm + "get-worker-pool:p/q"}},
		{"GET", "/worker-pools", nil, 200, []string{wm + "list-worker-pools"}},
		{"GET", "/workers/p%2Fq", nil, 200, []string{wm + "list-workers:p/q"}},
		{"GET", "/workers/p%2Fq/g", nil, 200, []string{wm + "list-workers:p/q/g"}},
		{"GET", "/workers/p%2Fq/g/w1", nil, 200, []string{wm + "get-worker:p/q/g/w1"}},
		{"POST", "/workers/p%2Fq/g/w1", worker, 200, []string{wm + "update-worker:p/q/g/w1"}},
		{"GET", "/workers/p%2Fq/g/w1/should-terminate", nil, 200, []string{wm + "should-worker-terminate:p/q/g/w1"}},
		{"POST", "/worker-pool-errors/p%2Fq", report, 200, []string{"assume:worker-pool:p/q", "assume:worker-id:g/w1"}},
		{"GET", "/worker-pool-errors/p%2Fq", nil, 200, []string{wm + "list-worker-pool-errors:p/q"}},
		{"GET", "/worker-pool-errors/stats?workerPoolId=p%2Fq", nil, 200, []string{wm + "list-worker-pool-errors:p/q"}},
		{"GET", "/worker-pool-errors/stats", nil, 200, []string{wm + "list-worker-pool-errors:"}},
		{"POST", "/worker/reregister", object{"workerPoolId": "p/q", "workerGroup": "g", "workerId": "w1", "secret": "0123456789012345678901234567890123456789abcd"}, 400, []string{wm + "reregister-worker:p/q/g/w1"}},
		{"DELETE", "/workers/p%2Fq/g/w1", nil, 200, []string{wm + "remove-worker:p/q/g/w1"}},
		{"DELETE", poolPath, nil, 200, []string{wm + "manage-worker-pool:p/q"}},
	} {
		for i := range c.scopes {
			few := append(append([]string{}, c.scopes[:i]...), c.scopes[i+1:]...)
			d.as("eve", append(few, wm+"other")...).want(403, "InsufficientScopes", c.method, c.path, c.body)
		}
		code := ""
		if c.status != 200 {
			code = "InputError"
		}
		d.as("bob", c.scopes...).want(c.status, code, c.method, c.path, c.body)
	}
}
