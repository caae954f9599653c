package keyservice

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/awstest"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
)

const (
	awsRegion = "eu-central-1"
	awsARN    = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

// serveKMS answers Encrypt and Decrypt as AWS KMS does, to requests that the account signed.
func (d cloud) serveKMS(account awstest.Account) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d.Lock()
		defer d.Unlock()
		d.Asked++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			d.T.Error(err)
		}
		if err := account.Check(r, body); err != nil {
			d.T.Errorf("the request is not signed: %v", err)
		}
		refuse := func(status int, code string) {
			d.Answer(w, status, map[string]string{"__type": code, "message": "no"})
		}
		if d.Down {
			refuse(500, "KMSInternalException")
			return
		}
		var in struct {
			KeyId                     string // it is Amazon's name
			Plaintext, CiphertextBlob []byte
			EncryptionContext         map[string]string
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.Decode(r, &in)
		name := in.KeyId
		if name == "alias/treeline" {
			name = awsARN
		}
		if d.Keys[name] == nil {
			refuse(400, "NotFoundException")
			return
		}
		about, err := json.Marshal(in.EncryptionContext) // its names are in order
		if err != nil || len(in.EncryptionContext) == 0 {
			d.T.Errorf("no context: %v", err)
		}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			d.Answer(w, 200, map[string]any{"KeyId": name, "CiphertextBlob": d.Seal(name, in.Plaintext, about), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
		case "TrentService.Decrypt":
			plain, ok := d.Open(name, in.CiphertextBlob, about)
			if !ok {
				refuse(400, "InvalidCiphertextException")
				return
			}
			d.Answer(w, 200, map[string]any{"KeyId": name, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
		default:
			d.T.Errorf("asked for %s", r.Header.Get("X-Amz-Target"))
		}
	}
}

// awsAlone takes what this machine has of Amazon's away.
func awsAlone(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS",
	} {
		t.Setenv(name, "")
	}
}

func TestAWSKMS(t *testing.T) {
	awsAlone(t)
	d := cloud{keyservicetest.NewDouble(t, awsARN)}
	server := httptest.NewServer(d.serveKMS(awstest.Account{KeyID: "AKIATEST", Secret: "s3cr3t", Region: awsRegion, Service: "kms"}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_KMS", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
	checked(t, d.Double, awsARN, func(deployment string) crypt.Keeper {
		return keeperOf(t, "awskms:///alias/treeline?region="+awsRegion+"&deployment="+deployment)
	})
}

// Servers on Amazon's machines have no key in their configuration: they are told who they are where they run.
func TestWhereCredentialsOfAWSComeFrom(t *testing.T) {
	d := cloud{keyservicetest.NewDouble(t, awsARN)}
	kms := httptest.NewServer(d.serveKMS(awstest.Account{KeyID: "ASIA1", Secret: "s3cr3t", Region: awsRegion, Service: "kms"}))
	t.Cleanup(kms.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	others := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/container" && r.Header.Get("Authorization") == "a token":
			d.Answer(w, 200, map[string]string{"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cr3t", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"})
		case r.Method == http.MethodPost && strings.TrimSpace(r.PostFormValue("WebIdentityToken")) == "a token" && r.PostFormValue("RoleArn") == "arn:aws:iam::1:role/r":
			_, err := io.WriteString(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
			if err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("%s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(others.Close)
	for name, set := range map[string]map[string]string{
		"a container":       {"AWS_CONTAINER_CREDENTIALS_FULL_URI": others.URL + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file},
		"an identity token": {"AWS_WEB_IDENTITY_TOKEN_FILE": file, "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_ENDPOINT_URL_STS": others.URL},
	} {
		t.Run(name, func(t *testing.T) {
			awsAlone(t)
			t.Setenv("AWS_ENDPOINT_URL_KMS", kms.URL)
			for name, value := range set {
				t.Setenv(name, value)
			}
			k := keeperOf(t, "awskms:///"+awsARN+"?deployment=ci")
			if text, err := crypt.FormatKey(t.Context(), make([]byte, crypt.KeySize), k); err != nil || !Wrapped(text) {
				t.Error(err)
			}
		})
	}
}
