package licences_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/tools/licences"
)

func TestLicencesAreKnownByTheirWords(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with or without\n// modification, are permitted ... Redistributions in binary form must reproduce"
	for text, want := range map[string]string{
		"Permission is hereby granted, free of\n charge, to any person obtaining a copy ... The above copyright notice": "MIT",
		bsd:                              "BSD-2-Clause",
		bsd + "\n * Neither the name of": "BSD-3-Clause",
		"Apache License\n   Version 2.0, January 2004 ... 3. Grant of Patent License.": "Apache-2.0",
		"Mozilla Public License Version 2.0":                                           "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3":                                        "GPL-3.0-only",
		"You may use this on Tuesdays.":                                                "",
	} {
		if got := licences.Identify(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestOurOwnLicenceIsKnown(t *testing.T) {
	text, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if got := licences.Identify(string(text)); got != "Apache-2.0" {
		t.Errorf("LICENSE is %q", got)
	}
}

func TestEveryModuleThatIsLinkedHasTermsWeKnow(t *testing.T) {
	list, err := licences.Linked(t.Context(), "../..", licences.Platform{OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, m := range list {
		paths[m.Path] = true
		if len(m.Licences) == 0 || len(m.Texts) == 0 {
			t.Errorf("%s %s has no known licence", m.Path, m.Version)
		}
	}
	for _, want := range []string{"std", "github.com/jackc/pgx/v5", "go.starlark.net"} {
		if !paths[want] {
			t.Errorf("%s is not among %d modules", want, len(list))
		}
	}
	if paths["github.com/google/go-cmp"] {
		t.Error("go-cmp, which only tests use, is among what is linked")
	}
}

func TestThePagesPackagesAreRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("package-lock.json", `{"lockfileVersion": 3, "packages": {
		"": {"name": "pages"},
		"node_modules/@a/b": {"version": "1.0.0", "integrity": "sha512-AAAA", "license": "MIT"},
		"node_modules/@a/b/node_modules/c": {"version": "2.0.0", "license": "ISC"},
		"node_modules/tool": {"version": "3.0.0", "license": "MIT", "dev": true}}}`)
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy. The above copyright notice"
	write("node_modules/@a/b/LICENSE", mit)
	write("node_modules/@a/b/node_modules/c/index.js", "")
	got, err := licences.Bundled(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []licences.Module{
		{Kind: licences.NPM, Path: "@a/b", Version: "1.0.0", Sum: "sha512-AAAA", Licences: []string{"MIT"}, Texts: []licences.Text{{Name: "LICENSE", Body: mit}}},
		{Kind: licences.NPM, Path: "c", Version: "2.0.0", Licences: []string{"ISC"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := licences.Notices(&out, "Treeline", append(got, got[0])); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), mit); n != 1 {
		t.Errorf("the text stands %d times:\n%s", n, &out)
	}
}
