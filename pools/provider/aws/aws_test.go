package aws_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
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
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/aws"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

// endpoint answers as EC2 does: one instance a client token, tags, filters, and its errors.
type endpoint struct {
	t  *testing.T
	mu sync.Mutex
	by map[string]*instance // by client token
	n  int
}

type instance struct {
	id, state, userData string
	tags                map[string]string
	made                time.Time
}

func (i *instance) xml() string {
	var tags strings.Builder
	for k, v := range i.tags {
		fmt.Fprintf(&tags, "<item><key>%s</key><value>%s</value></item>", k, v)
	}
	return fmt.Sprintf(`<item><instanceId>%s</instanceId><imageId>ami-1</imageId><instanceState><code>0</code><name>%s</name></instanceState>`+
		`<instanceType>m5.large</instanceType><launchTime>%s</launchTime><privateIpAddress>10.0.0.%s</privateIpAddress><architecture>x86_64</architecture><tagSet>%s</tagSet></item>`,
		i.id, i.state, i.made.UTC().Format(time.RFC3339), i.id[len(i.id)-1:], tags.String())
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIATEST/") {
		e.fail(w, http.StatusUnauthorized, "AuthFailure")
		return
	}
	if err := r.ParseForm(); err != nil {
		e.t.Error(err)
	}
	switch f := r.Form; f.Get("Action") {
	case "RunInstances":
		e.run(w, f)
	case "DescribeInstances":
		var items strings.Builder
		for _, i := range e.by {
			if matches(i, f) {
				items.WriteString(i.xml())
			}
		}
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><ownerId>123</ownerId><instancesSet>%s</instancesSet></item></reservationSet></DescribeInstancesResponse>`, &items)
	case "TerminateInstances":
		for _, i := range e.by {
			if i.id == f.Get("InstanceId.1") {
				i.state = "terminated"
				fmt.Fprint(w, `<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet/></TerminateInstancesResponse>`)
				return
			}
		}
		e.fail(w, http.StatusBadRequest, "InvalidInstanceID.NotFound")
	default:
		e.t.Errorf("%v is not expected", f)
	}
}

func (e *endpoint) run(w http.ResponseWriter, f url.Values) {
	if f.Get("ImageId") != "ami-1" {
		e.fail(w, http.StatusBadRequest, "InvalidAMIID.NotFound")
		return
	}
	i := e.by[f.Get("ClientToken")]
	if i == nil {
		e.n++
		i = &instance{id: fmt.Sprintf("i-%d", e.n), state: "pending", tags: map[string]string{}, made: time.Now(), userData: f.Get("UserData")}
		for n := 1; f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n)) != ""; n++ {
			i.tags[f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n))] = f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Value", n))
		}
		e.by[f.Get("ClientToken")] = i
	}
	fmt.Fprintf(w, `<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><ownerId>123</ownerId><instancesSet>%s</instancesSet></RunInstancesResponse>`, i.xml())
}

func matches(i *instance, f url.Values) bool {
	for n := 1; f.Get(fmt.Sprintf("Filter.%d.Name", n)) != ""; n++ {
		var values []string
		for m := 1; f.Get(fmt.Sprintf("Filter.%d.Value.%d", n, m)) != ""; m++ {
			values = append(values, f.Get(fmt.Sprintf("Filter.%d.Value.%d", n, m)))
		}
		name := f.Get(fmt.Sprintf("Filter.%d.Name", n))
		is := map[string]string{"instance-id": i.id, "instance-state-name": i.state}[name]
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			is = i.tags[key]
		}
		if !slices.Contains(values, is) {
			return false
		}
	}
	return true
}

func (e *endpoint) fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Response><Errors><Error><Code>%s</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>`, code)
}

// signer is the key with which EC2 signs documents.
func signer(t *testing.T) (*rsa.PrivateKey, *x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ec2"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func document(i provider.Instance, edit func(map[string]string)) string {
	d := map[string]string{"instanceId": i.ID, "accountId": "123", "region": i.Group, "imageId": "ami-1", "instanceType": "m5.large",
		"privateIp": "10.0.0." + i.ID[len(i.ID)-1:], "architecture": "x86_64"}
	if edit != nil {
		edit(d)
	}
	text, _ := json.Marshal(d) // a map of strings
	return string(text)
}

func proof(document string, signature []byte) json.RawMessage {
	text, _ := json.Marshal(map[string]string{"document": document, "signature": base64.StdEncoding.EncodeToString(signature)}) // likewise
	return text
}

func TestProvider(t *testing.T) {
	e := &endpoint{t: t, by: map[string]*instance{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	key, cert, text := signer(t)
	p, err := aws.New(aws.Config{
		AccessKeyID: "AKIATEST", SecretAccessKey: "s", Endpoint: server.URL, Certificates: map[string]string{"us-east-1": text}, ProviderID: "prov", RootURL: "https://tc.example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(d string) []byte {
		sum := sha256.Sum256([]byte(d))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	config := json.RawMessage(`{"region": "us-east-1", "launchConfig": {"ImageId": "ami-1", "InstanceType": "m5.large",
		"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Team", "Value": "red"}, {"Key": "Owner", "Value": "nobody"}]}]}, "additionalUserData": {"more": 1}}`)
	providertest.Run(t, providertest.Case{
		Scaler: p, Config: config, Bad: json.RawMessage(`{"region": "us-east-1", "launchConfig": {"ImageId": "ami-2"}}`),
		Proof: func(_ *testing.T, i provider.Instance) json.RawMessage {
			d := document(i, nil)
			return proof(d, sign(d))
		},
	})
	for _, i := range e.by {
		data, err := base64.StdEncoding.DecodeString(i.userData)
		if err != nil || string(data) != `{"more":1,"providerId":"prov","rootUrl":"https://tc.example.com","workerGroup":"us-east-1","workerPoolId":"proj/work"}` {
			t.Errorf("user data %s, %v", data, err)
		}
		if i.tags["Team"] != "red" || i.tags["Owner"] != "ada@example.com" || i.tags["WorkerPoolId"] != "proj/work" {
			t.Errorf("tags %v", i.tags)
		}
	}
	t.Run("proofs", func(t *testing.T) { proofs(t, p, config, key, cert, sign) })
	t.Run("configs", func(t *testing.T) {
		for text, ok := range map[string]bool{
			`{"launchConfigs": [{"region": "us-east-1", "launchConfig": {"ImageId": "ami-1"}}]}`:                true,
			`{"launchConfigs": [{"region": "eu-north-1", "launchConfig": {"ImageId": "ami-1"}}]}`:               false,
			`{"launchConfigs": [{"region": "us-east-1", "launchConfig": {"ImageId": "ami-1", "Nonsense": 1}}]}`: false,
		} {
			if err := p.Check(json.RawMessage(text)); (err == nil) != ok || err != nil && !errors.Is(err, fault.BadInput) {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}

// proofs are taken in both forms, and only whole, of this instance, and signed by the region's key.
func proofs(t *testing.T, p *aws.Provider, config json.RawMessage, key *rsa.PrivateKey, cert *x509.Certificate, sign func(string) []byte) {
	i, err := p.Launch(t.Context(), provider.Launch{Key: "proofs", ProviderID: "prov", WorkerPoolID: "proj/work", Config: config})
	if err != nil {
		t.Fatal(err)
	}
	p7 := func(d string, key *rsa.PrivateKey, cert *x509.Certificate) []byte {
		data, err := pkcs7.NewSignedData([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := data.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		der, err := data.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	otherKey, otherCert, _ := signer(t)
	good := document(i, nil)
	for _, c := range []struct {
		name  string
		proof json.RawMessage
		ok    bool
	}{
		{"RSA", proof(good, sign(good)), true},
		{"PKCS 7", proof(good, p7(good, key, cert)), true},
		{"PKCS 7 by somebody else, who brings their certificate", proof(good, p7(good, otherKey, otherCert)), false},
		{"PKCS 7 of another document", proof(good, p7(document(i, func(d map[string]string) { d["imageId"] = "x" }), key, cert)), false},
		{"a document that was changed", proof(strings.Replace(good, "ami-1", "ami-2", 1), sign(good)), false},
		{"no signature", proof(good, nil), false},
	} {
		if err := p.Verify(t.Context(), i, provider.Proof{Content: c.proof}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, member := range []string{"instanceId", "accountId", "region", "imageId", "instanceType", "privateIp", "architecture"} {
		other := document(i, func(d map[string]string) { d[member] = "other" })
		if err := p.Verify(t.Context(), i, provider.Proof{Content: proof(other, sign(other))}); err == nil {
			t.Errorf("another %s is taken", member)
		}
	}
}
