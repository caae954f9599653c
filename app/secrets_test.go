package app_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
)

func TestSecretsAreMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	first, err := app.LoadSecrets(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := app.LoadSecrets(path)
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("the second start has others: %v %s", err, diff)
	}
	other, err := app.LoadSecrets(filepath.Join(t.TempDir(), "secrets.json"))
	if err != nil || other.RootToken == first.RootToken || string(other.URLKey) == string(first.URLKey) || first.RootToken == first.QueueToken {
		t.Errorf("secrets are not random: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others may read it", err, info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v: left behind: %v", err, left)
	}
}

func TestASpoiltSecretsFileIsRefusedWithoutShowingIt(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":       `hunter2hunter2hunter2hunter2`,
		"empty":         ``,
		"a short token": `{"rootAccessToken": "hunter2", "queueAccessToken": "hunter2hunter2hunter2hunter2", "workerAccessToken": "hunter2hunter2hunter2hunter2"}`,
		"a broken key":  `{"encryptionKey": "hunter2!"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := app.LoadSecrets(path)
			if err == nil || !strings.Contains(err.Error(), "secrets") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != content {
				t.Error("the file was changed")
			}
		})
	}
}

func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	if err := app.WriteFile(filepath.Join(dir, "missing", "file"), []byte("x"), 0o600); err == nil {
		t.Error("written into a directory that is not there")
	}
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "two"} {
		if err := app.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q %v", got, err)
		}
	}
}

func TestConfigurationNamesEverythingAtFault(t *testing.T) {
	c := app.Config{RootURL: "ci.example.com/path"}
	err := c.Check()
	for _, want := range []string{"root URL", "DATABASE_URL", "TREELINE_DATA", "secrets"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	secrets, err := app.LoadSecrets(filepath.Join(t.TempDir(), "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	c = app.Config{RootURL: "https://ci.example.com/", DatabaseURL: "postgres:///x", DataDir: "d", Secrets: secrets}
	if err := c.Check(); err != nil || c.RootURL != "https://ci.example.com" || c.Log == nil || c.Listen == "" {
		t.Errorf("%v %+v", err, c.RootURL)
	}
	c.DatabaseURL = "postgres:///x?pool_max_conns=7"
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "pool_max_conns=7 in DATABASE_URL: give 8 or more") {
		t.Errorf("with few connections: %v", err)
	}
}

func TestEncryptionKeysMayComeFromTheEnvironment(t *testing.T) {
	key := func(fill string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32))) }
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("# two\n"+key("a")+"\n"+key("b")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys, file, master string
		want               string // of the error; "" takes the keys a and b
	}{
		"a variable":   {keys: key("a") + " " + key("b")},
		"a file":       {file: file},
		"both":         {keys: key("a"), file: file, want: "give one"},
		"no file":      {file: file + "x", want: "no such file"},
		"a broken key": {keys: key("a") + ",hunter2!", want: "key 2: it is no base64"},
		"no master":    {keys: key("a"), master: "file:" + file + "x", want: "TREELINE_MASTER_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(app.KeysSetting, c.keys)
			t.Setenv(app.KeysFileSetting, c.file)
			t.Setenv(app.MasterKeySetting, c.master)
			s, err := app.LoadSecrets(filepath.Join(t.TempDir(), "secrets.json"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.LoadKeys(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || string(s.EncryptionKey) != strings.Repeat("a", 32) || len(s.RetiredKeys) != 1 {
				t.Errorf("%v, %d retired", err, len(s.RetiredKeys))
			}
		})
	}
}
