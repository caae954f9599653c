package aws_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/awstest"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/aws"
)

// TestInstanceRoles has the server's own instance vouch for it: no key is kept, and credentials are renewed before they
// expire.
func TestInstanceRoles(t *testing.T) {
	var asked, seconds atomic.Int64
	seconds.Store(3600)
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			fmt.Fprint(w, "tok")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "tok":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "ci-server\n")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/ci-server":
			asked.Add(1)
			fmt.Fprintf(w, `{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIATEST", "SecretAccessKey": "s", "Token": "session", "Expiration": %q}`,
				time.Now().Add(time.Duration(seconds.Load())*time.Second).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer machine.Close()
	e := awstest.NewEC2(t)
	var tokens atomic.Int64
	ec2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") == "session" {
			tokens.Add(1)
		}
		e.ServeHTTP(w, r)
	}))
	defer ec2.Close()
	certificate := awstest.NewSigner(t).PEM
	config := aws.Config{InstanceRole: true, Metadata: machine.URL, Endpoint: ec2.URL, Certificates: map[string]string{"us-east-1": certificate}, ProviderID: "prov", RootURL: "https://tc.example.com"}
	launch := func(p *aws.Provider, key string) {
		t.Helper()
		if _, err := p.Launch(t.Context(), provider.Launch{Key: key, ProviderID: "prov", WorkerPoolID: "proj/work", Config: []byte(`{"region": "us-east-1", "launchConfig": {"ImageId": "ami-1"}}`)}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := aws.New(config)
	if err != nil {
		t.Fatal(err)
	}
	launch(p, "one")
	launch(p, "two")
	if asked.Load() != 1 || tokens.Load() < 2 {
		t.Errorf("credentials were got %d times, and used %d times", asked.Load(), tokens.Load())
	}
	seconds.Store(30) // nearly over: each call gets new ones
	asked.Store(0)
	if p, err = aws.New(config); err != nil {
		t.Fatal(err)
	}
	launch(p, "three")
	launch(p, "four")
	if asked.Load() < 2 {
		t.Errorf("credentials that are nearly over were used again: got %d times", asked.Load())
	}
	config.AccessKeyID, config.SecretAccessKey = "AKIATEST", "s"
	if _, err := aws.New(config); err == nil {
		t.Error("a key besides a role is taken")
	}
}
