package cloud_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/fault"
)

var azureKey = []byte("the key of the account")

func azureMAC(text string) string {
	mac := hmac.New(sha256.New, azureKey)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// checkSharedKey verifies the signature of a request to blobs (SharedKey) or tables (SharedKeyLite).
func checkSharedKey(r *http.Request, body []byte) error {
	path := "/account1" + r.URL.EscapedPath()
	if strings.HasPrefix(r.URL.Path, "/Tables") {
		if want := "SharedKeyLite account1:" + azureMAC(r.Header.Get("X-Ms-Date")+"\n"+path); r.Header.Get("Authorization") != want {
			return fmt.Errorf("authorization %q, want %q", r.Header.Get("Authorization"), want)
		}
		return nil
	}
	var ms strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			ms.WriteString(name + ":" + r.Header.Get(name) + "\n")
		}
	}
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		path += "\n" + name + ":" + query.Get(name)
	}
	length := ""
	if len(body) > 0 {
		length = fmt.Sprint(len(body))
	}
	text := r.Method + "\n\n\n" + length + "\n\n" + r.Header.Get("Content-Type") + "\n\n\n\n\n\n\n" + ms.String() + path
	if want := "SharedKey account1:" + azureMAC(text); r.Header.Get("Authorization") != want {
		return fmt.Errorf("authorization %q, want %q of %q", r.Header.Get("Authorization"), want, text)
	}
	return nil
}

func withHeader(name, value string, next func(http.ResponseWriter, *http.Request, []byte)) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, r *http.Request, body []byte) {
		w.Header().Set(name, value)
		next(w, r, body)
	}
}

func TestAzure(t *testing.T) {
	answers := map[string]func(http.ResponseWriter, *http.Request, []byte){}
	store := serve(t, checkSharedKey, answers)
	account := cloud.AzureAccount{Key: base64.StdEncoding.EncodeToString(azureKey), Blobs: store.URL, Tables: store.URL}
	c := newCloud(t, cloud.Config{Azure: cloud.AzureConfig{Accounts: map[string]cloud.AzureAccount{"account1": account, "account0": account}}})
	ctx := t.Context()

	t.Run("accounts are listed in order", func(t *testing.T) {
		if got, err := c.AzureAccounts(); err != nil || !slices.Equal(got, []string{"account0", "account1"}) {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("tables are listed in Azure's pages", func(t *testing.T) {
		answers["GET /Tables"] = func(w http.ResponseWriter, r *http.Request, body []byte) {
			if r.URL.Query().Get("NextTableName") == "1!8!two" {
				reply(200, `{"value": [{"TableName": "Two"}]}`)(w, r, body)
				return
			}
			withHeader("x-ms-continuation-NextTableName", "1!8!two", reply(200, `{"value": [{"TableName": "One"}]}`))(w, r, body)
		}
		one, next, err := c.AzureTables(ctx, "account1", "")
		if err != nil || !slices.Equal(one, []string{"One"}) || next != "1!8!two" {
			t.Fatalf("%v, %q, %v", one, next, err)
		}
		if two, next, err := c.AzureTables(ctx, "account1", next); err != nil || !slices.Equal(two, []string{"Two"}) || next != "" {
			t.Errorf("%v, %q, %v", two, next, err)
		}
	})
	t.Run("containers are listed in Azure's pages", func(t *testing.T) {
		answers["GET /"] = func(w http.ResponseWriter, r *http.Request, body []byte) {
			name, next := "one", "/account1/two"
			if r.URL.Query().Get("marker") == next {
				name, next = "two", ""
			}
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, `<?xml version="1.0"?><EnumerationResults><Containers><Container><Name>%s</Name></Container></Containers><NextMarker>%s</NextMarker></EnumerationResults>`, name, next)
		}
		one, next, err := c.AzureContainers(ctx, "account1", "")
		if err != nil || !slices.Equal(one, []string{"one"}) || next != "/account1/two" {
			t.Fatalf("%v, %q, %v", one, next, err)
		}
		if two, next, err := c.AzureContainers(ctx, "account1", next); err != nil || !slices.Equal(two, []string{"two"}) || next != "" {
			t.Errorf("%v, %q, %v", two, next, err)
		}
	})

	const start, expiry = "2026-11-21T12:15:15Z", "2026-11-21T12:55:15Z"
	made := reply(204, "")
	exists := withHeader("x-ms-error-code", "ContainerAlreadyExists", reply(409, `{}`))
	for _, s := range []struct {
		name, allowed string
		level         cloud.Level
		answer        func(http.ResponseWriter, *http.Request, []byte)
		asked         []string
	}{
		{"reading", "r", cloud.ReadOnly, nil, nil},
		{"writing makes the table", "raud", cloud.ReadWrite, made, []string{"POST /Tables"}},
		{"writing finds the table", "raud", cloud.ReadWrite, reply(409, `{}`), []string{"POST /Tables"}},
	} {
		t.Run("table: "+s.name, func(t *testing.T) {
			store.asked()
			answers["POST /Tables"] = func(w http.ResponseWriter, r *http.Request, body []byte) {
				if string(body) != `{"TableName":"MyTable"}` {
					t.Errorf("made %s", body)
				}
				s.answer(w, r, body)
			}
			got, err := c.AzureTable(ctx, now, "account1", "MyTable", s.level)
			if err != nil {
				t.Fatal(err)
			}
			values, err := url.ParseQuery(got.SAS)
			if err != nil {
				t.Fatal(err)
			}
			sig := azureMAC(s.allowed + "\n" + start + "\n" + expiry + "\n/table/account1/mytable\n\n\n\n2019-02-02\n\n\n\n")
			if diff := cmp.Diff(url.Values{"sv": {"2019-02-02"}, "tn": {"MyTable"}, "sp": {s.allowed}, "st": {start}, "se": {expiry}, "sig": {sig}}, values); diff != "" {
				t.Error(diff)
			}
			if asked := store.asked(); !slices.Equal(asked, s.asked) || !got.Expiry.Equal(now.Add(25*time.Minute)) {
				t.Errorf("asked %v; expires %s", asked, got.Expiry)
			}
		})
	}
	for _, s := range []struct {
		name, allowed string
		level         cloud.Level
		answer        func(http.ResponseWriter, *http.Request, []byte)
		asked         []string
	}{
		{"reading", "rl", cloud.ReadOnly, nil, nil},
		{"writing makes the container", "racwdl", cloud.ReadWrite, reply(201, ""), []string{"PUT /my-data"}},
		{"writing finds the container", "racwdl", cloud.ReadWrite, exists, []string{"PUT /my-data"}},
	} {
		t.Run("container: "+s.name, func(t *testing.T) {
			store.asked()
			answers["PUT /my-data"] = s.answer
			got, err := c.AzureContainer(ctx, now, "account1", "my-data", s.level)
			if err != nil {
				t.Fatal(err)
			}
			values, err := url.ParseQuery(got.SAS)
			if err != nil {
				t.Fatal(err)
			}
			version := values.Get("sv")
			sig := azureMAC(s.allowed + "\n" + start + "\n" + expiry + "\n/blob/account1/my-data\n\n\n\n" + version + "\nc\n\n\n\n\n\n\n")
			if diff := cmp.Diff(url.Values{"sv": {version}, "sr": {"c"}, "sp": {s.allowed}, "st": {start}, "se": {expiry}, "sig": {sig}}, values); diff != "" {
				t.Error(diff)
			}
			if asked := store.asked(); !slices.Equal(asked, s.asked) {
				t.Errorf("asked %v", asked)
			}
		})
	}
	t.Run("signatures for real addresses are good over https only", func(t *testing.T) {
		c := newCloud(t, cloud.Config{Azure: cloud.AzureConfig{Accounts: map[string]cloud.AzureAccount{"account1": {Key: account.Key}}}})
		table, err := c.AzureTable(ctx, now, "account1", "t1", cloud.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		container, err := c.AzureContainer(ctx, now, "account1", "c1", cloud.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, sas := range []string{table.SAS, container.SAS} {
			if !strings.Contains(sas, "spr=https&") {
				t.Error(sas)
			}
		}
	})
	t.Run("faults", func(t *testing.T) {
		if _, err := c.AzureTable(ctx, now, "another", "t1", cloud.ReadOnly); !errors.Is(err, fault.NotFound) {
			t.Errorf("an account that is not configured: %v", err)
		}
		answers["PUT /gone"] = withHeader("x-ms-error-code", "AuthorizationFailure", reply(403, ""))
		if _, err := c.AzureContainer(ctx, now, "account1", "gone", cloud.ReadWrite); fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), "AuthorizationFailure") {
			t.Errorf("a key that is refused: %v", err)
		}
		answers["POST /Tables"] = reply(503, "")
		if _, err := c.AzureTable(ctx, now, "account1", "t1", cloud.ReadWrite); !errors.Is(err, fault.Unavailable) {
			t.Errorf("a fault that may pass: %v", err)
		}
	})
}
