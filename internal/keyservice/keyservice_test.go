package keyservice

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
)

// cloud is a double that speaks the language of one of them.
type cloud struct{ *keyservicetest.Double }

// checked is what all services must do: secret is a key of a ring, open makes a keeper of a deployment.
func checked(t *testing.T, d *keyservicetest.Double, key string, open func(deployment string) crypt.Keeper) {
	t.Helper()
	ctx, secret := t.Context(), bytes.Repeat([]byte{7}, crypt.KeySize)
	ours := open("ci.example")
	text, err := crypt.FormatKey(ctx, secret, ours)
	if err != nil {
		t.Fatal(err)
	}
	if !Wrapped(text) {
		t.Errorf("%s does not count as wrapped by a service", text)
	}
	reads := func(text string, k crypt.Keeper) error {
		t.Helper()
		keys, err := crypt.ParseKeys(ctx, text, k)
		if err == nil && !bytes.Equal(keys[0].Secret, secret) {
			t.Error("another key comes out")
		}
		return err
	}
	if err := reads(text, open("ci.example")); err != nil {
		t.Fatal(err)
	}
	fails := func(name string, kind fault.Kind, text string, k crypt.Keeper) {
		t.Helper()
		err := reads(text, k)
		if fault.KindOf(err) != kind || !errors.Is(err, kind) || err == nil {
			t.Errorf("%s: %v is no %v", name, err, kind)
		}
	}
	fails("another deployment", fault.Forbidden, text, open("other.example"))
	var e envelope
	k := ours.(keepers)[0].(*keeper)
	wrapped, err := k.Wrap(ctx, secret)
	if err == nil {
		err = json.Unmarshal(wrapped, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.Data[len(e.Data)-1] ^= 1
	changed, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Unwrap(ctx, changed); !errors.Is(err, fault.Forbidden) {
		t.Errorf("a changed key: %v", err)
	}
	d.Set(func(d *keyservicetest.Double) { d.Spoil = func(plain []byte) { plain[0] ^= 1 } })
	if err := reads(text, ours); err == nil {
		t.Error("an answer that was changed is taken")
	}
	d.Set(func(d *keyservicetest.Double) { d.Spoil, d.Down = nil, true })
	fails("it is down", fault.Unavailable, text, ours)
	if _, err := ours.Wrap(ctx, secret); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "start again") {
		t.Errorf("wrapped while it is down: %v", err)
	}
	d.Set(func(d *keyservicetest.Double) { d.Down = false; d.Keys["another"] = d.Keys[key]; delete(d.Keys, key) })
	fails("its key was deleted", fault.Forbidden, text, ours)
	d.Set(func(d *keyservicetest.Double) { d.Keys[key] = bytes.Repeat([]byte{99}, 32) })
	fails("another key has its name", fault.Forbidden, text, ours)
	d.Set(func(d *keyservicetest.Double) { d.Keys[key] = d.Keys["another"] })
	if err := reads(text, ours); err != nil {
		t.Errorf("when all is well again: %v", err)
	}
}

func keeperOf(t *testing.T, setting string) crypt.Keeper {
	t.Helper()
	k, err := Open(t.Context(), setting)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMasterKeysThatCannotBe(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "VAULT_ADDR", "BAO_ADDR"} {
		t.Setenv(name, "")
	}
	for setting, want := range map[string]string{
		"vault":                                    "awskms:///KEY",
		"awskms:alias/a?deployment=x":              "awskms:///KEY",
		"awskms:///alias/a":                        "?deployment=NAME",
		"awskms:///alias/a?deployment=x":           "AWS_REGION",
		"awskms://?deployment=x":                   "awskms:///alias/NAME",
		"awskms://me:secret@x/?deployment=x":       "awskms:///KEY",
		"gcpkms:///projects/p?deployment=x":        "cryptoKeys/K",
		"azurekeyvault://v?deployment=x":           "/keys/KEY",
		"azurekeyvault://v/keys/k/v1?deployment=x": "without a version",
		"transit:///k?deployment=x":                "VAULT_ADDR",
		"transit:///a/b?deployment=x":              "transit:///KEY",
		"env:NOT_SET_FOR_TEST":                     "NOT_SET_FOR_TEST",
	} {
		k, err := Open(t.Context(), setting)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || k != nil {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if k, err := Open(t.Context(), " "); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
}

// A master key in a file and one of a service stand side by side while the one takes over from the other.
func TestAMasterKeyMovesToAServiceAndBack(t *testing.T) {
	ctx := t.Context()
	key := func(fill byte) string {
		text, err := crypt.FormatKey(ctx, bytes.Repeat([]byte{fill}, crypt.KeySize), nil)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	t.Setenv("MASTER_A", key(1))
	t.Setenv("MASTER_B", key(2))
	d := keyservicetest.StartVault(t)
	at := "transit:///treeline?deployment=ci"
	wrap := func(setting string) string {
		text, err := crypt.FormatKey(ctx, bytes.Repeat([]byte{7}, crypt.KeySize), keeperOf(t, setting))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	byA, byB, byVault := wrap("env:MASTER_A"), wrap("env:MASTER_B"), wrap(at)
	all := strings.Join([]string{byA, byB, byVault}, "\n")
	for _, setting := range []string{"env:MASTER_A env:MASTER_B " + at, at + "\nenv:MASTER_B\tenv:MASTER_A"} {
		if _, err := crypt.ParseKeys(ctx, all, keeperOf(t, setting)); err != nil {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if Wrapped(byA) || Wrapped(wrap("env:MASTER_B "+at)) || !Wrapped(wrap(at+" env:MASTER_A")) {
		t.Error("it is not the first that wraps")
	}
	for setting, missing := range map[string]string{"env:MASTER_A": "key 2", "env:MASTER_A env:MASTER_B": "wrapped by transit", at: "wrapped by a master key in a file", "env:MASTER_B " + at: "key 1"} {
		if _, err := crypt.ParseKeys(ctx, all, keeperOf(t, setting)); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	asked := d.Asked
	if _, err := crypt.ParseKeys(ctx, byB, keeperOf(t, at+" env:MASTER_B")); err != nil || d.Asked != asked {
		t.Errorf("the service was asked for a key of a file, %v", err)
	}
}
