package crypt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/crypt"
)

func key(id string, fill byte) crypt.Key {
	return crypt.Key{ID: id, Secret: bytes.Repeat([]byte{fill}, crypt.KeySize)}
}

func ring(t *testing.T, keys ...crypt.Key) *crypt.Ring {
	t.Helper()
	r, err := crypt.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensOnlyWhereItBelongs(t *testing.T) {
	r := ring(t, key("new", 1), key("old", 2))
	sealed, err := r.Seal([]byte("the value"), []byte("table:row"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("value")) {
		t.Fatal("the sealed bytes show the value")
	}
	if plain, err := r.Open(sealed, []byte("table:row")); err != nil || string(plain) != "the value" {
		t.Fatalf("%q, %v", plain, err)
	}
	again, err := r.Seal([]byte("the value"), []byte("table:row"))
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("sealing twice gives the same bytes, %v", err)
	}
	renamed := bytes.Replace(sealed, []byte("new"), []byte("old"), 1)
	for name, c := range map[string]struct {
		r               *crypt.Ring
		sealed, context []byte
	}{
		"another context":         {r, sealed, []byte("table:other")},
		"no context":              {r, sealed, nil},
		"another key's id":        {r, renamed, []byte("table:row")},
		"another key of that id":  {ring(t, key("new", 3)), sealed, []byte("table:row")},
		"a ring without the key":  {ring(t, key("third", 1)), sealed, []byte("table:row")},
		"a bit changed":           {r, append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1), []byte("table:row")},
		"cut short":               {r, sealed[:12], []byte("table:row")},
		"the header alone":        {r, sealed[:5], []byte("table:row")},
		"empty":                   {r, nil, []byte("table:row")},
		"header moved to context": {r, sealed, append(bytes.Clone(sealed[:8]), "table:row"...)},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := c.r.Open(c.sealed, c.context)
			if !errors.Is(err, crypt.ErrSealed) || plain != nil {
				t.Errorf("opens: %q, %v", plain, err)
			}
		})
	}
}

func TestARetiredKeyOpensAndTheNewOneSeals(t *testing.T) {
	before := ring(t, key("a", 1))
	sealed, err := before.Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	after := ring(t, key("b", 2), key("a", 1), key("b", 2))
	if diff := cmp.Diff([]string{"b", "a"}, after.IDs()); diff != "" {
		t.Error(diff)
	}
	if plain, err := after.Open(sealed, nil); err != nil || string(plain) != "x" {
		t.Fatalf("%q, %v", plain, err)
	}
	if after.Current(sealed) || !before.Current(sealed) {
		t.Error("the value sealed with the retired key counts as current")
	}
	fresh, err := after.Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := crypt.KeyID(fresh); id != "b" || !ok || !after.Current(fresh) {
		t.Errorf("sealed with %q", id)
	}
	if _, err := before.Open(fresh, nil); !errors.Is(err, crypt.ErrSealed) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("%v does not name the missing key", err)
	}
}

func TestARingRefusesKeysThatCannotWork(t *testing.T) {
	for name, keys := range map[string][]crypt.Key{
		"none":                   nil,
		"short":                  {{ID: "a", Secret: []byte("short")}},
		"two keys of one id":     {key("a", 1), key("a", 2)},
		"an id that is too long": {key(strings.Repeat("a", 65), 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := crypt.NewRing(keys...); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestKeysComeFromTextPlainOrWrapped(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	master, err := crypt.FormatKey(ctx, key("", 9).Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "master")
	if err := os.WriteFile(path, []byte("# the master key\n"+master+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MASTER_FOR_TEST", master)
	fromFile, err := crypt.OpenKeeper(ctx, "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	fromEnv, err := crypt.OpenKeeper(ctx, "env:MASTER_FOR_TEST")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := crypt.FormatKey(ctx, key("", 1).Secret, fromFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := crypt.FormatKey(ctx, key("", 2).Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := crypt.ParseKeys(ctx, "# current\n"+wrapped+"\n"+plain, fromEnv)
	if diff := cmp.Diff([]crypt.Key{key("", 1), key("", 2)}, keys); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, text := range map[string]string{
		"no key":                  "# nothing\n",
		"no base64":               "hunter2!",
		"too short":               "aHVudGVyMg==",
		"wrapped without keeper":  wrapped,
		"wrapped by someone else": "wrapped:" + plain,
	} {
		t.Run(name, func(t *testing.T) {
			var keeper crypt.Keeper
			if name != "wrapped without keeper" {
				keeper = fromFile
			}
			_, err := crypt.ParseKeys(ctx, text, keeper)
			if err == nil || strings.Contains(err.Error(), strings.TrimSpace(text)) {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, setting := range []string{"file:" + path + "x", "env:NOT_SET_FOR_TEST", "vault", "file:"} {
		if _, err := crypt.OpenKeeper(ctx, setting); err == nil {
			t.Errorf("%s is accepted", setting)
		}
	}
	if k, err := crypt.OpenKeeper(ctx, ""); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
}

func FuzzOpen(f *testing.F) {
	r, err := crypt.NewRing(key("k", 1))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := r.Seal([]byte("value"), []byte("c"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("TLS\x01\x01k"))
	f.Add([]byte("TLS\x01\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, err := r.Open(data, []byte("c"))
		if err == nil && string(plain) != "value" {
			t.Errorf("forged: %q opens as %q", data, plain)
		}
	})
}
