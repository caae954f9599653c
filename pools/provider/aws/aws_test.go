package aws_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/treeline-ci/treeline/internal/awstest"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/aws"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

func document(i provider.Instance, edit func(map[string]string)) string {
	return awstest.Document(i.Group, i.ID, edit)
}

func proof(document string, signature []byte) json.RawMessage {
	text, _ := json.Marshal(map[string]string{"document": document, "signature": base64.StdEncoding.EncodeToString(signature)}) // a map of strings
	return text
}

func TestProvider(t *testing.T) {
	e := awstest.NewEC2(t)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	s := awstest.NewSigner(t)
	p, err := aws.New(aws.Config{
		AccessKeyID: awstest.KeyID, SecretAccessKey: "s", Endpoint: server.URL, Certificates: map[string]string{"us-east-1": s.PEM}, ProviderID: "prov", RootURL: "https://tc.example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(d string) []byte {
		signature, err := s.Sign(d)
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
	for _, i := range e.Instances() {
		data, err := base64.StdEncoding.DecodeString(i.UserData)
		if err != nil || string(data) != `{"more":1,"providerId":"prov","rootUrl":"https://tc.example.com","workerGroup":"us-east-1","workerPoolId":"proj/work"}` {
			t.Errorf("user data %s, %v", data, err)
		}
		if i.Tags["Team"] != "red" || i.Tags["Owner"] != "ada@example.com" || i.Tags["WorkerPoolId"] != "proj/work" {
			t.Errorf("tags %v", i.Tags)
		}
	}
	t.Run("proofs", func(t *testing.T) { proofs(t, p, config, s, sign) })
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
func proofs(t *testing.T, p *aws.Provider, config json.RawMessage, s awstest.Signer, sign func(string) []byte) {
	i, err := p.Launch(t.Context(), provider.Launch{Key: "proofs", ProviderID: "prov", WorkerPoolID: "proj/work", Config: config})
	if err != nil {
		t.Fatal(err)
	}
	p7 := func(d string, by awstest.Signer) []byte {
		data, err := pkcs7.NewSignedData([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := data.AddSigner(by.Certificate, by.Key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		der, err := data.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	other := awstest.NewSigner(t)
	good := document(i, nil)
	for _, c := range []struct {
		name  string
		proof json.RawMessage
		ok    bool
	}{
		{"RSA", proof(good, sign(good)), true},
		{"PKCS 7", proof(good, p7(good, s)), true},
		{"PKCS 7 by somebody else, who brings their certificate", proof(good, p7(good, other)), false},
		{"PKCS 7 of another document", proof(good, p7(document(i, func(d map[string]string) { d["imageId"] = "x" }), s)), false},
		{"a document that was changed", proof(strings.Replace(good, "ami-1", "ami-2", 1), sign(good)), false},
		{"no signature", proof(good, nil), false},
	} {
		if err := p.Verify(t.Context(), i, provider.Proof{Content: c.proof}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, member := range []string{"instanceId", "accountId", "region", "imageId", "instanceType", "privateIp", "architecture"} {
		changed := document(i, func(d map[string]string) { d[member] = "other" })
		if err := p.Verify(t.Context(), i, provider.Proof{Content: proof(changed, sign(changed))}); err == nil {
			t.Errorf("another %s is taken", member)
		}
	}
}
