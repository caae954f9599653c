package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/docs/command"
	"github.com/treeline-ci/treeline/internal/awstest"
)

// bringSTS puts a double in the place of Amazon's service that federates, which wants to be asked for what the page asks, and
// gives the page keys where it leaves them out.
func (r *reader) bringSTS() {
	r.t.Helper()
	const secret = "the secret of a test"
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err == nil {
			err = awstest.Account{KeyID: awstest.KeyID, Secret: secret, Region: "us-east-1", Service: "sts"}.Check(q, body)
		}
		form, bad := url.ParseQuery(string(body))
		if err != nil || bad != nil || form.Get("Action") != "GetFederationToken" || !strings.Contains(form.Get("Policy"), "arn:aws:s3:::release-files/nightly/2026-11-21/*") {
			r.t.Errorf("asked for %v: %v %v", form, err, bad)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, awstest.Federation)
	}))
	r.t.Cleanup(sts.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		r.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	ofGoogle := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	ofGitHub := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	r.literal["aws:\n  accounts:"] = "aws:\n  sts: " + sts.URL + "\n  accounts:"
	r.literal["accessKeyId: AKIA…"], r.literal["secretAccessKey: …"] = "accessKeyId: "+awstest.KeyID, "secretAccessKey: "+secret
	r.literal[`-----BEGIN PRIVATE KEY-----\n…`] = strings.ReplaceAll(ofGoogle, "\n", `\n`)
	r.literal["-----BEGIN RSA PRIVATE KEY-----\n        …"] = strings.ReplaceAll(strings.TrimSpace(ofGitHub), "\n", "\n        ")
}

// bringEC2 puts a double in EC2's place, which signs identity documents with the certificate that the page leaves out, and its
// metadata service where a worker asks.
func (r *reader) bringEC2() {
	r.t.Helper()
	machines, signer := awstest.NewEC2(r.t), awstest.NewSigner(r.t)
	ec2, metadata := httptest.NewServer(machines), httptest.NewServer(machines.Metadata(signer))
	r.t.Cleanup(ec2.Close)
	r.t.Cleanup(metadata.Close)
	certificate := strings.SplitAfter(strings.TrimSpace(signer.PEM), "\n")
	r.literal["accessKeyId: AKIA…"] = "endpoint: " + ec2.URL + "\n    accessKeyId: " + awstest.KeyID
	r.literal["-----BEGIN CERTIFICATE-----\n        …\n        -----END CERTIFICATE-----"] = strings.Join(certificate, "        ")
	r.literal["--register aws"] = "--register aws --metadata-url " + metadata.URL
	r.names["ami-0abcdef1234567890"] = awstest.Image
	r.export(map[string]string{"CI_AWS_KEY": "the secret of a test"})
}

// lacks says what the machine of the test lacks for a block, "" when nothing.
func lacks(b command.Block) string {
	if !slices.Contains(b.With, "root") {
		return ""
	}
	if os.Geteuid() != 0 {
		return "the test does not run as root"
	}
	if err := groups(); err != nil {
		return "there are no control groups to limit tasks by: " + err.Error()
	}
	return ""
}

// groups tries to make a control group where this process is, in whichever version there is.
func groups() error {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	err = errors.New("there is no controller of memory")
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, place
		if len(parts) < 3 || parts[1] != "" && parts[1] != "memory" {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", parts[1], parts[2], fmt.Sprintf("treeline-docs-%d", os.Getpid()))
		if err = os.Mkdir(dir, 0o755); err == nil {
			return os.Remove(dir)
		}
	}
	return err
}
