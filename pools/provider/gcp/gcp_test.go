package gcp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/gcp"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

const (
	root    = "https://tc.example.com"
	project = "proj-1"
	zone    = "us-east1-b"
)

// endpoint answers as Compute Engine does, with operations that end later, and as Google's keys.
type endpoint struct {
	t   *testing.T
	mu  sync.Mutex
	by  map[string]map[string]any // instances by name
	ops map[string]map[string]any
	n   int
	key *rsa.PrivateKey
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			e.t.Error(err)
		}
	}
	fail := func(status int, reason string) {
		answer(status, map[string]any{"error": map[string]any{"code": status, "message": reason, "errors": []any{map[string]any{"reason": reason}}}})
	}
	path := strings.TrimPrefix(r.URL.Path, "/projects/"+project+"/zones/"+zone+"/")
	switch {
	case r.URL.Path == "/keys":
		answer(200, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1",
			"n": base64.RawURLEncoding.EncodeToString(e.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(e.key.E)).Bytes())}}})
	case r.Method == "POST" && path == "instances":
		e.insert(r, answer, fail)
	case r.Method == "POST" && strings.HasPrefix(path, "operations/"):
		op := e.ops[strings.TrimSuffix(strings.TrimPrefix(path, "operations/"), "/wait")]
		op["status"] = "DONE"
		answer(200, op)
	case r.Method == "GET" && path == "instances":
		want, _ := strings.CutPrefix(r.URL.Query().Get("filter"), "labels.treeline-server=")
		list := []any{}
		for _, i := range e.by {
			if labels, _ := i["labels"].(map[string]any); labels["treeline-server"] == want {
				list = append(list, i)
			}
		}
		answer(200, map[string]any{"items": list})
	case r.Method == "GET" && e.by[strings.TrimPrefix(path, "instances/")] != nil:
		answer(200, e.by[strings.TrimPrefix(path, "instances/")])
	case r.Method == "DELETE" && e.by[strings.TrimPrefix(path, "instances/")] != nil:
		delete(e.by, strings.TrimPrefix(path, "instances/"))
		answer(200, map[string]any{"status": "RUNNING", "name": "del"})
	default:
		fail(404, "notFound")
	}
}

func (e *endpoint) insert(r *http.Request, answer func(int, any), fail func(int, string)) {
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		e.t.Error(err)
	}
	name, _ := in["name"].(string)
	if e.by[name] != nil {
		fail(409, "alreadyExists")
		return
	}
	if len(r.URL.Query().Get("requestId")) != 36 {
		fail(400, "no request id")
		return
	}
	e.n++
	id := strconv.Itoa(1000 + e.n)
	op := map[string]any{"name": "op-" + id, "status": "RUNNING", "targetId": id}
	if strings.Contains(fmt.Sprint(in["machineType"]), "huge") {
		op["error"] = map[string]any{"errors": []any{map[string]any{"code": "QUOTA_EXCEEDED", "message": "too huge"}}}
	} else {
		in["id"], in["status"], in["creationTimestamp"] = id, "RUNNING", time.Now().Format(time.RFC3339)
		e.by[name] = in
	}
	e.ops["op-"+id] = op
	answer(200, op)
}

// token is an identity token as the metadata service gives it.
func (e *endpoint) token(t *testing.T, key *rsa.PrivateKey, id string, edit func(claims, engine map[string]any)) json.RawMessage {
	t.Helper()
	engine := map[string]any{"instance_id": id, "project_id": project, "zone": zone}
	claims := map[string]any{"iss": "https://accounts.google.com", "aud": root, "sub": "4711", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"google": map[string]any{"compute_engine": engine}}
	if edit != nil {
		edit(claims, engine)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k1","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(`{"token": "` + text + "." + base64.RawURLEncoding.EncodeToString(signature) + `"}`)
}

func TestProvider(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{t: t, by: map[string]map[string]any{}, ops: map[string]map[string]any{}, key: key}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	p, err := gcp.New(t.Context(), gcp.Config{Project: project, Endpoint: server.URL, KeysURL: server.URL + "/keys", WorkerAccountID: "4711", ProviderID: "prov", RootURL: root, HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	config := func(machine string) json.RawMessage {
		return json.RawMessage(`{"region": "us-east1", "zone": "` + zone + `", "machineType": "zones/` + zone + `/machineTypes/` + machine + `", "disks": [{"boot": true}],
			"networkInterfaces": [{}], "scheduling": {}, "workerConfig": {"x": 1}, "workerManager": {"capacityPerInstance": 1}}`)
	}
	providertest.Run(t, providertest.Case{
		Scaler: p, Config: config("small"), Bad: config("huge"),
		Proof: func(t *testing.T, i provider.Instance) json.RawMessage { return e.token(t, key, i.ID, nil) },
	})
	i, err := p.Launch(t.Context(), provider.Launch{Key: slug.Nice(), WorkerPoolID: "proj/work", ProviderID: "prov", Owner: "Ada@example.com", RootURL: root, Config: config("small")})
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range e.by {
		text := fmt.Sprint(made["metadata"])
		if made["id"] == i.ID && (!strings.Contains(text, `"workerPoolId":"proj/work"`) || made["workerConfig"] != nil || made["zone"] != nil ||
			made["labels"].(map[string]any)["owner"] != "ada_example_com") {
			t.Errorf("made %v", made)
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]json.RawMessage{
		"another key":      e.token(t, other, i.ID, nil),
		"another audience": e.token(t, key, i.ID, func(c, _ map[string]any) { c["aud"] = "https://other.example.com" }),
		"another issuer":   e.token(t, key, i.ID, func(c, _ map[string]any) { c["iss"] = "https://evil.example.com" }),
		"an expired one":   e.token(t, key, i.ID, func(c, _ map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"another account":  e.token(t, key, i.ID, func(c, _ map[string]any) { c["sub"] = "1" }),
		"another instance": e.token(t, key, "7", nil),
		"another project":  e.token(t, key, i.ID, func(_, g map[string]any) { g["project_id"] = "other" }),
		"another zone":     e.token(t, key, i.ID, func(_, g map[string]any) { g["zone"] = "other" }),
		"not of a machine": e.token(t, key, i.ID, func(c, _ map[string]any) { delete(c, "google") }),
	} {
		if p.Verify(t.Context(), i, provider.Proof{RootURL: root, Content: token}) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := p.Verify(t.Context(), i, provider.Proof{RootURL: root, Content: e.token(t, key, i.ID, nil)}); err != nil {
		t.Errorf("the right one: %v", err)
	}
}
