package enroll_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/enroll"
)

const words = `{"rootUrl": "https://tc.example.com", "providerId": "prov", "workerPoolId": "proj/work", "workerGroup": "us-east-1"}`

// TestMachinesOfCloudsKnowWhatToRegisterWith asks doubles of the metadata services, which insist on the headers
// that keep pages in browsers away from them.
func TestMachinesOfCloudsKnowWhatToRegisterWith(t *testing.T) {
	answers := map[string]struct{ header, value, body string }{
		"PUT /latest/api/token":                                              {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300", "tok"},
		"GET /latest/user-data":                                              {"X-Aws-Ec2-Metadata-Token", "tok", words},
		"GET /latest/meta-data/instance-id":                                  {"X-Aws-Ec2-Metadata-Token", "tok", "i-1"},
		"GET /latest/dynamic/instance-identity/document":                     {"X-Aws-Ec2-Metadata-Token", "tok", "{}"},
		"GET /latest/dynamic/instance-identity/signature":                    {"X-Aws-Ec2-Metadata-Token", "tok", "sig"},
		"GET /computeMetadata/v1/instance/attributes/taskcluster":            {"Metadata-Flavor", "Google", words},
		"GET /computeMetadata/v1/instance/id":                                {"Metadata-Flavor", "Google", "4711"},
		"GET /computeMetadata/v1/instance/zone":                              {"Metadata-Flavor", "Google", "projects/1/zones/us-east1-b"},
		"GET /computeMetadata/v1/instance/service-accounts/default/identity": {"Metadata-Flavor", "Google", "a.b.c"},
		"GET /metadata/instance/compute": {"Metadata", "true", `{"name": "VM-1", "tagsList": [{"name": "root-url", "value": "https://tc.example.com"},
			{"name": "provider-id", "value": "prov"}, {"name": "worker-pool-id", "value": "proj/work"}, {"name": "worker-group", "value": "westeurope"}]}`},
		"GET /metadata/attested/document": {"Metadata", "true", `{"encoding": "pkcs7", "signature": "AAAA"}`},
	}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.Method+" "+r.URL.Path]
		if !ok || r.Header.Get(a.header) != a.value {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		asked = append(asked, r.URL.RawQuery)
		if _, err := w.Write([]byte(a.body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	m := enroll.Metadata{AWS: server.URL, Google: server.URL, Azure: server.URL}
	base := enroll.File{RootURL: "https://tc.example.com", ProviderID: "prov", WorkerPoolID: "proj/work"}
	for cloud, want := range map[string][3]string{
		"aws":    {"us-east-1", "i-1", `{"document":"{}","signature":"sig"}`},
		"google": {"us-east1-b", "4711", `{"token":"a.b.c"}`},
		"azure":  {"westeurope", "vm-1", `{"document":"AAAA"}`},
	} {
		f := base
		f.WorkerGroup, f.WorkerID, f.Proof = want[0], want[1], []byte(want[2])
		got, err := m.Describe(t.Context(), cloud)
		if diff := cmp.Diff(f, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", cloud, err, diff)
		}
	}
	if !strings.Contains(strings.Join(asked, " "), "audience=https%3A%2F%2Ftc.example.com") {
		t.Errorf("the token is for whom? %v", asked)
	}
	delete(answers, "GET /latest/user-data")
	if _, err := m.Describe(t.Context(), "aws"); err == nil {
		t.Error("a machine without user data has a registration")
	}
}

func TestFilesOfRegistrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.json")
	for text, want := range map[string]string{
		"{}":     "rootUrl",
		"secret": "no JSON",
		words:    "workerId",
		strings.Replace(words, "}", `, "workerId": "w", "workerIdentityProof": {"token": "t"}}`, 1): "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := enroll.Read(path)
		if want == "" && err != nil || want != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
