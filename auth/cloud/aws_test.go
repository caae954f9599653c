package cloud_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/awstest"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestS3(t *testing.T) {
	var form url.Values
	status, answer := 200, awstest.Federation
	sts := serve(t, func(r *http.Request, body []byte) (err error) {
		if form, err = url.ParseQuery(string(body)); err != nil {
			return err
		}
		return awstest.Account{KeyID: "AKIA2", Secret: "secret two", Region: "eu-north-1", Service: "sts"}.Check(r, body)
	}, map[string]func(http.ResponseWriter, *http.Request, []byte){"POST /": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}})
	c := newCloud(t, cloud.Config{AWS: cloud.AWSConfig{STS: sts.URL, Region: "eu-north-1", Accounts: []cloud.AWSAccount{
		{AccessKeyID: "AKIA1", SecretAccessKey: "secret one", Buckets: []string{"first"}},
		{AccessKeyID: "AKIA2", SecretAccessKey: "secret two", Buckets: []string{"second", "third"}},
	}}})

	read, write := []any{"s3:GetObject"}, []any{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
	for _, p := range []struct {
		name    string
		level   cloud.Level
		prefix  string
		actions []any
		below   string
	}{
		{"reading below a prefix", cloud.ReadOnly, "a/b/", read, "a/b/*"},
		{"writing below a prefix", cloud.ReadWrite, "a/b/", write, "a/b/*"},
		{"the whole bucket", cloud.ReadWrite, "", write, "*"},
		{"a prefix without a slash", cloud.ReadOnly, "my-folder", read, "my-folder*"},
		{"stars at the end mean what the prefix means", cloud.ReadOnly, "a/**", read, "a/*"},
		{"wildcards and variables are letters", cloud.ReadWrite, "a?/*/${aws:userid}/", write, "a${?}/${*}/${$}{aws:userid}/*"},
		{"quotes stay inside", cloud.ReadOnly, `a","Effect":"Allow`, read, `a","Effect":"Allow*`},
	} {
		t.Run(p.name, func(t *testing.T) {
			got, err := c.S3(t.Context(), p.level, "third", p.prefix)
			if err != nil {
				t.Fatal(err)
			}
			want := cloud.S3Credentials{AccessKeyID: "ASIA1", SecretAccessKey: "s3cr3t", SessionToken: "tok/en==", Expires: time.Date(2026, 11, 21, 13, 30, 15, 0, time.UTC)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			var policy any
			if err := json.Unmarshal([]byte(form.Get("Policy")), &policy); err != nil {
				t.Fatal(err)
			}
			form.Del("Policy")
			if diff := cmp.Diff(url.Values{"Action": {"GetFederationToken"}, "Version": {"2011-06-15"}, "DurationSeconds": {"3600"}, "Name": {"TemporaryS3ReadWriteCredentials"}}, form); diff != "" {
				t.Error(diff)
			}
			bucket := []any{"arn:aws:s3:::third"}
			if diff := cmp.Diff(map[string]any{"Version": "2012-10-17", "Statement": []any{
				map[string]any{"Sid": "ReadWriteObjectsUnderPrefix", "Effect": "Allow", "Action": p.actions, "Resource": []any{"arn:aws:s3:::third/" + p.below}},
				map[string]any{"Sid": "ListObjectsUnderPrefix", "Effect": "Allow", "Action": []any{"s3:ListBucket"}, "Resource": bucket,
					"Condition": map[string]any{"StringLike": map[string]any{"s3:prefix": []any{p.below}}}},
				map[string]any{"Sid": "GetBucketLocation", "Effect": "Allow", "Action": []any{"s3:GetBucketLocation"}, "Resource": bucket},
			}}, policy); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("what cannot be given is refused before AWS is asked", func(t *testing.T) {
		sts.asked()
		for _, c2 := range []struct {
			bucket, prefix string
			kind           fault.Kind
		}{{"fourth", "", fault.NotFound}, {"third", "/a", fault.Invalid}, {"third", strings.Repeat("a", 1000), fault.Invalid}} {
			if _, err := c.S3(t.Context(), cloud.ReadOnly, c2.bucket, c2.prefix); !errors.Is(err, c2.kind) {
				t.Errorf("%s/%.9s: %v", c2.bucket, c2.prefix, err)
			}
		}
		if asked := sts.asked(); asked != nil {
			t.Errorf("asked %v", asked)
		}
	})
	for _, f := range []struct {
		name, code string
		status     int
		kind       fault.Kind
	}{
		{"a policy that AWS finds too large", "PackedPolicyTooLarge", 400, fault.Invalid},
		{"a key that AWS does not know is for the operator", "InvalidClientTokenId", 403, fault.Internal},
		{"a fault of AWS may pass", "InternalFailure", 500, fault.Unavailable},
	} {
		t.Run(f.name, func(t *testing.T) {
			status = f.status
			answer = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>` + f.code + `</Code><Message>no</Message></Error></ErrorResponse>`
			_, err := c.S3(t.Context(), cloud.ReadOnly, "third", "a")
			if fault.KindOf(err) != f.kind || strings.Contains(err.Error(), "secret two") {
				t.Errorf("%v", err)
			}
		})
	}
}
