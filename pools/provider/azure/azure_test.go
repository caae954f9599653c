package azure_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/azure"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

const (
	root         = "https://tc.example.com"
	subscription = "11111111-2222-3333-4444-555555555555"
)

// endpoint answers as Azure Resource Manager does, and hands out tokens.
type endpoint struct {
	t  *testing.T
	mu sync.Mutex
	by map[string]map[string]any // machines by name
	n  int
	// deployments by name, with their states; each makes its machine when it is looked at again.
	deployments map[string]map[string]any
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
	if r.URL.Path == "/token" {
		if r.FormValue("client_secret") != "s" {
			answer(401, map[string]any{"error": "invalid_client"})
			return
		}
		answer(200, map[string]any{"access_token": "tok", "token_type": "Bearer", "expires_in": 3600})
		return
	}
	if r.Header.Get("Authorization") != "Bearer tok" {
		answer(401, map[string]any{})
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/subscriptions/"+subscription+"/resourcegroups/ci/providers/Microsoft.Resources/deployments/"); ok {
		e.deploy(w, r, name, answer)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/subscriptions/"+subscription+"/resourceGroups/ci/providers/Microsoft.Compute/virtualMachines")
	name = strings.TrimPrefix(name, "/")
	there := e.by[name]
	switch {
	case !ok:
		answer(404, map[string]any{})
	case r.Method == "PUT":
		e.put(r, name, answer)
	case r.Method == "GET" && name == "":
		list := []any{}
		for _, m := range e.by {
			list = append(list, m)
		}
		answer(200, map[string]any{"value": list})
	case there == nil:
		answer(404, map[string]any{"error": map[string]any{"code": "ResourceNotFound"}})
	case r.Method == "GET":
		answer(200, there)
	case r.Method == "PATCH":
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			e.t.Error(err)
		}
		there["tags"], there["patched"] = m["tags"], m["properties"]
		answer(200, there)
	case r.Method == "DELETE":
		delete(e.by, name)
		w.WriteHeader(http.StatusNoContent)
	}
}

// deploy answers about deployments: one runs until it is looked at a second time, and has made its machine then.
func (e *endpoint) deploy(w http.ResponseWriter, r *http.Request, name string, answer func(int, any)) {
	if e.deployments == nil {
		e.deployments = map[string]map[string]any{}
	}
	name, cancel := strings.CutSuffix(name, "/cancel")
	there := e.deployments[name]
	switch {
	case r.Method == "PUT":
		var d map[string]any
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			e.t.Error(err)
		}
		p, _ := d["properties"].(map[string]any)
		if strings.Contains(fmt.Sprint(p["parameters"]), "Huge") {
			answer(400, map[string]any{"error": map[string]any{"code": "InvalidTemplateDeployment", "message": "quota"}})
			return
		}
		p["provisioningState"] = "Accepted"
		e.deployments[name] = d
		answer(201, d)
	case there == nil:
		answer(404, map[string]any{"error": map[string]any{"code": "DeploymentNotFound"}})
	case cancel:
		answer(409, map[string]any{"error": map[string]any{"code": "DeploymentCannotBeCancelled"}})
	case r.Method == "DELETE":
		delete(e.deployments, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		p, _ := there["properties"].(map[string]any)
		answer(200, there)
		if p["provisioningState"] == "Accepted" {
			p["provisioningState"] = "Succeeded"
			parameters, _ := p["parameters"].(map[string]any)
			e.n++
			e.by[name] = map[string]any{"name": name, "location": "westeurope", "tags": value(parameters["tags"]), "properties": map[string]any{
				"vmId": fmt.Sprintf("VM-%d", e.n), "provisioningState": "Succeeded", "timeCreated": time.Now().UTC().Format(time.RFC3339),
				"instanceView":   map[string]any{"statuses": []any{map[string]any{"code": "PowerState/running"}}},
				"storageProfile": map[string]any{"osDisk": map[string]any{"name": "os"}},
				"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": "/nic"}}},
			}}
		}
	}
}

// value is a parameter's.
func value(parameter any) any {
	p, _ := parameter.(map[string]any)
	return p["value"]
}

func deployed(size string) json.RawMessage {
	return json.RawMessage(`{"armDeployment": {"mode": "Incremental", "parameters": {"location": {"value": "westeurope"}, "size": {"value": "` + size + `"}},
		"template": {"parameters": {"location": {"type": "string"}, "size": {"type": "string"}, "vmName": {"type": "string"}, "tags": {"type": "object"}}, "resources": []}}, "workerConfig": {}}`)
}

// TestDeployments has machines made by templates.
func TestDeployments(t *testing.T) {
	e := &endpoint{t: t, by: map[string]map[string]any{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	microsoft := newAuthority(t, "eu.metadata.azure.com")
	p, err := azure.New(azure.Config{
		Subscription: subscription, ResourceGroup: "ci", Tenant: "t", ClientID: "c", ClientSecret: "s", Endpoint: server.URL, TokenURL: server.URL + "/token",
		Roots: microsoft.roots, Intermediates: microsoft.intermediates, ProviderID: "prov", RootURL: root, Secret: []byte("k"),
	})
	if err != nil {
		t.Fatal(err)
	}
	launch := provider.Launch{Key: "AAAAAAAAAAAAAAAAAAAAAA", WorkerPoolID: "proj/work", ProviderID: "prov", Owner: "ada@example.com", RootURL: root, Config: deployed("Small")}
	i, err := p.Launch(t.Context(), launch)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Launch(t.Context(), launch); err != nil || again.ID != i.ID || again.Group != "westeurope" {
		t.Errorf("the same launch: %+v, %v", again, err)
	}
	looks := func(want provider.Health) {
		t.Helper()
		got, err := p.Look(t.Context(), []provider.Instance{i})
		if err != nil || got[0] != want {
			t.Errorf("health %v, %v; want %v", got, err, want)
		}
	}
	delete(e.by, i.ID) // asking again has ended the double's deployment
	e.deployments[i.ID]["properties"].(map[string]any)["provisioningState"] = "Accepted"
	looks(provider.Starting)
	looks(provider.Running)
	machine := e.by[i.ID]
	text, err := json.Marshal(machine)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"treeline-adopted":"true"`, `"worker-pool-id":"proj/work"`, `"deleteOption":"Delete"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the machine has no %s: %s", want, text)
		}
	}
	if len(e.deployments) > 0 {
		t.Error("the deployment's record stays")
	}
	looks(provider.Running)
	id, _ := machine["properties"].(map[string]any)["vmId"].(string)
	if err := p.Verify(t.Context(), i, provider.Proof{RootURL: root, Content: microsoft.proof(t, strings.ToLower(id), nil)}); err != nil {
		t.Errorf("its worker: %v", err)
	}
	if p.Verify(t.Context(), i, provider.Proof{RootURL: root, Content: microsoft.proof(t, "other", nil)}) == nil {
		t.Error("another machine's worker is taken")
	}
	if found, err := p.List(t.Context(), []json.RawMessage{deployed("Small")}); err != nil || len(found) != 1 || found[0].ID != i.ID || found[0].Key != launch.Key {
		t.Errorf("found: %+v, %v", found, err)
	}
	if err := p.Stop(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	looks(provider.Gone)
	launch.Key, launch.Config = "BAAAAAAAAAAAAAAAAAAAAA", deployed("Huge")
	if _, err := p.Launch(t.Context(), launch); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("a deployment that Azure refuses: %v", err)
	}
	for text, ok := range map[string]bool{
		string(deployed("Small")): true,
		`{"armDeployment": {"mode": "Incremental", "parameters": {"location": {"value": "x"}}, "templateLink": {"id": "/t"}}}`:                 true,
		`{"armDeployment": {"mode": "Incremental", "parameters": {"location": {"value": "x"}}, "template": {"parameters": {}}}}`:               false,
		`{"armDeployment": {"mode": "Incremental", "parameters": {}, "templateLink": {"id": "/t"}}}`:                                           false,
		`{"armDeployment": {"mode": "Incremental", "parameters": {"location": {"value": "x"}}, "templateLink": {"id": "/t"}, "template": {}}}`: false,
	} {
		if err := p.Check(json.RawMessage(`{"launchConfigs": [` + text + `]}`)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func (e *endpoint) put(r *http.Request, name string, answer func(int, any)) {
	var m map[string]any
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		e.t.Error(err)
	}
	p, _ := m["properties"].(map[string]any)
	if size := fmt.Sprint(p["hardwareProfile"]); strings.Contains(size, "Huge") {
		answer(409, map[string]any{"error": map[string]any{"code": "OperationNotAllowed", "message": "quota"}})
		return
	}
	e.n++
	p["vmId"], p["provisioningState"], p["timeCreated"] = fmt.Sprintf("VM-%d", e.n), "Succeeded", time.Now().UTC().Format(time.RFC3339)
	p["instanceView"] = map[string]any{"statuses": []any{map[string]any{"code": "ProvisioningState/succeeded"}, map[string]any{"code": "PowerState/running"}}}
	m["name"] = name
	e.by[name] = m
	answer(201, m)
}

// authority signs as Microsoft does: a root, an intermediate, and a signer.
type authority struct {
	roots, intermediates string
	signer, middle       *x509.Certificate
	key                  *rsa.PrivateKey
}

func newAuthority(t *testing.T, name string, issuerURL ...string) authority {
	t.Helper()
	var parent *x509.Certificate
	var parentKey *rsa.PrivateKey
	var a authority
	for i, common := range []string{"root", "middle", name} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: common}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: i < 2, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
		if i == 2 {
			c.IssuingCertificateURL = issuerURL
		}
		signedBy, signedWith := parent, parentKey
		if i == 0 {
			signedBy, signedWith = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, signedBy, &key.PublicKey, signedWith)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		parentKey = key
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		switch i {
		case 0:
			a.roots = text
		case 1:
			a.intermediates, a.middle = text, parent
		case 2:
			a.signer, a.key = parent, key
		}
	}
	return a
}

func (a *authority) proof(t *testing.T, vm string, edit func(map[string]any)) json.RawMessage {
	t.Helper()
	d := map[string]any{"vmId": vm, "subscriptionId": subscription, "timeStamp": map[string]any{
		"createdOn": time.Now().UTC().Format("01/02/06 15:04:05 -0700"), "expiresOn": time.Now().Add(time.Hour).UTC().Format("01/02/06 15:04:05 -0700")}}
	if edit != nil {
		edit(d)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	data, err := pkcs7.NewSignedData(text)
	if err != nil {
		t.Fatal(err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.AddSigner(a.signer, a.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	der, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(`{"document": "` + base64.StdEncoding.EncodeToString(der) + `"}`)
}

func vmID(i provider.Instance) string {
	var d struct{ VMID string }
	if err := json.Unmarshal(i.Data, &d); err != nil {
		return err.Error()
	}
	return d.VMID
}

func configFor(size string) json.RawMessage {
	return json.RawMessage(`{"location": "westeurope", "subnetId": "/sub/net", "hardwareProfile": {"vmSize": "` + size + `"}, "priority": "Spot", "evictionPolicy": "Delete",
		"storageProfile": {"imageReference": {"id": "/image"}, "osDisk": {"createOption": "FromImage"}, "dataDisks": [{"lun": 0, "createOption": "Empty", "diskSizeGB": 10}]},
		"workerManager": {"publicIp": true}, "tags": {"team": "red"}, "workerConfig": {}}`)
}

func TestProvider(t *testing.T) {
	e := &endpoint{t: t, by: map[string]map[string]any{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	microsoft := newAuthority(t, "eu.metadata.azure.com")
	config := azure.Config{
		Subscription: subscription, ResourceGroup: "ci", Tenant: "t", ClientID: "c", ClientSecret: "s", Endpoint: server.URL, TokenURL: server.URL + "/token",
		Roots: microsoft.roots, Intermediates: microsoft.intermediates, ProviderID: "prov", RootURL: root, Secret: []byte("k"),
	}
	p, err := azure.New(config)
	if err != nil {
		t.Fatal(err)
	}
	providertest.Run(t, providertest.Case{
		Scaler: p, Config: configFor("Small"), Bad: configFor("Huge"),
		Proof: func(t *testing.T, i provider.Instance) json.RawMessage { return microsoft.proof(t, vmID(i), nil) },
	})
	i, err := p.Launch(t.Context(), provider.Launch{Key: "AAAAAAAAAAAAAAAAAAAAAA", WorkerPoolID: "proj/work", ProviderID: "prov", Owner: "ada@example.com", RootURL: root, Config: configFor("Small")})
	if err != nil {
		t.Fatal(err)
	}
	made, err := json.Marshal(e.by[i.ID])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"deleteOption":"Delete"`, `"id":"/sub/net"`, `"priority":"Spot"`, `"team":"red"`, `"vmSize":"Small"`, `"worker-pool-id":"proj/work"`, `publicIPAddressConfiguration`} {
		if !strings.Contains(string(made), want) {
			t.Errorf("the machine has no %s: %s", want, made)
		}
	}
	t.Run("proofs", func(t *testing.T) { proofs(t, p, i, microsoft, config) })
	for text, ok := range map[string]bool{
		`{"launchConfigs": [` + string(configFor("A")) + `]}`:      true,
		`{"launchConfigs": [{"armDeployment": {"template": {}}}]}`: false,
		`{"launchConfigs": [{"location": "westeurope"}]}`:          false,
	} {
		if err := p.Check(json.RawMessage(text)); (err == nil) != ok || err != nil && !errors.Is(err, fault.BadInput) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func proofs(t *testing.T, p *azure.Provider, i provider.Instance, microsoft authority, config azure.Config) {
	verify := func(content json.RawMessage) error {
		return p.Verify(t.Context(), i, provider.Proof{RootURL: root, Content: content})
	}
	if err := verify(microsoft.proof(t, vmID(i), nil)); err != nil {
		t.Errorf("the right one: %v", err)
	}
	stranger, named := newAuthority(t, "metadata.azure.com"), newAuthority(t, "metadata.azure.com.example.com")
	for name, content := range map[string]json.RawMessage{
		"another root":         stranger.proof(t, vmID(i), nil),
		"another machine":      microsoft.proof(t, "other", nil),
		"another subscription": microsoft.proof(t, vmID(i), func(d map[string]any) { d["subscriptionId"] = "other" }),
		"an expired one": microsoft.proof(t, vmID(i), func(d map[string]any) {
			d["timeStamp"] = map[string]any{"expiresOn": time.Now().Add(-time.Minute).UTC().Format("01/02/06 15:04:05 -0700")}
		}),
	} {
		if verify(content) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	t.Run("by somebody whose certificate only looks like Microsoft's", func(t *testing.T) {
		c := config
		c.Roots, c.Intermediates = named.roots, named.intermediates
		q, err := azure.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if q.Verify(t.Context(), i, provider.Proof{Content: named.proof(t, vmID(i), nil)}) == nil {
			t.Error("taken")
		}
	})
	for name, x := range map[string]struct {
		address string
		ok      bool
	}{
		"is fetched where Microsoft keeps it": {"http://www.microsoft.com/middle.crt", true},
		"is not fetched elsewhere":            {"http://169.254.169.254/middle.crt", false},
	} {
		t.Run("a certificate on the way "+name, func(t *testing.T) {
			a := newAuthority(t, "metadata.azure.com", x.address)
			asked := 0
			c := config
			c.Roots, c.Intermediates = a.roots, ""
			c.HTTP = &http.Client{Transport: transport(func(*http.Request) *http.Response {
				asked++
				rec := httptest.NewRecorder()
				_, _ = rec.Write(a.middle.Raw) // never fails
				return rec.Result()
			})}
			q, err := azure.New(c)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := q.Verify(t.Context(), i, provider.Proof{Content: a.proof(t, vmID(i), nil)}); (err == nil) != x.ok {
					t.Errorf("%v", err)
				}
			}
			if (asked == 1) != x.ok || asked > 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// transport answers in place of the network.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
