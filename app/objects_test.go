package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
)

func TestLoadObjects(t *testing.T) {
	t.Setenv("TEST_OBJECT_KEY", "id")
	t.Setenv("TEST_OBJECT_SECRET", "secret")
	load := func(text string) (Objects, error) {
		path := filepath.Join(t.TempDir(), "objects.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadObjects(path)
	}
	t.Run("all settings", func(t *testing.T) {
		got, err := load(`
uploads: eu
region: office
max-bytes: 1000
copy-wait: 5s
stores:
  - name: eu
    region: eu
    direct-downloads: true
    direct-uploads: true
    s3:
      endpoint: https://s3.example.com
      public-endpoint: https://files.example.com
      bucket: ci
      prefix: treeline/
      region: eu-central-1
      access-key: $TEST_OBJECT_KEY
      secret-key: $TEST_OBJECT_SECRET
  - {name: nas, region: lab, disk: /mnt/nas}
networks:
  - {network: 10.0.0.0/8, region: office}
proxies: [192.0.2.0/24]
region-header: X-Region
`)
		if err != nil {
			t.Fatal(err)
		}
		want := Objects{
			Uploads: "eu", Region: "office", MaxBytes: 1000, CopyWait: 5 * time.Second, RegionHeader: "X-Region",
			Networks: []Network{{"10.0.0.0/8", "office"}}, Proxies: []string{"192.0.2.0/24"},
			Stores: []ObjectStore{
				{Name: "eu", Region: "eu", DirectDownloads: true, DirectUploads: true, S3: &S3{
					Endpoint: "https://s3.example.com", PublicEndpoint: "https://files.example.com", Bucket: "ci", Prefix: "treeline/",
					Region: "eu-central-1", AccessKey: "id", SecretKey: "secret",
				}},
				{Name: "nas", Region: "lab", Disk: "/mnt/nas"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the example of the documentation", func(t *testing.T) {
		page, err := os.ReadFile("../docs/how-to/object-storage.md")
		if err != nil {
			t.Fatal(err)
		}
		_, example, _ := strings.Cut(string(page), "```yaml\n")
		example, _, _ = strings.Cut(example, "```")
		t.Setenv("S3_ACCESS_KEY", "id")
		t.Setenv("S3_SECRET_KEY", "secret")
		got, err := load(example)
		if err != nil || len(got.Stores) != 2 || got.Stores[0].S3.SecretKey != "secret" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("no file and an empty one are none", func(t *testing.T) {
		none, err := LoadObjects("")
		empty, err2 := load("# nothing\n")
		if err := errors.Join(err, err2); err != nil || !cmp.Equal(none, empty) {
			t.Errorf("%+v, %+v, %v", none, empty, err)
		}
	})
	for text, want := range map[string]string{
		"upload: x":                                              "line 1",
		"stores: [{name: a}]":                                    `store "a": give either`,
		"stores: [{name: a, disk: x}]":                           "absolute",
		"stores: [{name: a, disk: /x, s3: {}}]":                  "either",
		"stores: [{name: a, disk: /x, direct-downloads: true}]":  "directly",
		"stores: [{name: a, s3: {access-key: $TEST_OBJECT_NO}}]": "no TEST_OBJECT_NO",
		"networks: [{network: 10.0.0.0, region: x}]":             "10.0.0.0/8",
		"networks: [{network: 10.0.0.0/8}]":                      "region",
		"proxies: [x]":                                           "proxies",
		"region-header: X-Here":                                  "proxies",
	} {
		if _, err := load(text); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "objects.yml") {
			t.Errorf("%s: %v, want something with %q", text, err, want)
		}
	}
}
