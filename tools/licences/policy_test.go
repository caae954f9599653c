package licences_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/tools/licences"
)

// Everything that a release contains, on all its systems, is under a licence that we may pass on.
func TestReleasesContainOnlyWhatTheyMay(t *testing.T) {
	list, err := licences.Linked(t.Context(), "../..", licences.Platform{OS: "linux", Arch: "amd64"}, licences.Platform{OS: "darwin", Arch: "arm64"}, licences.Platform{OS: "windows", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := licences.Bundled("../../ui/src")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 || len(pages) < 10 {
		t.Fatalf("only %d modules and %d packages are found", len(list), len(pages))
	}
	if err := licences.Check(append(list, pages...)); err != nil {
		t.Errorf("what must not be in a release:\n%v\nReplace it, or have its licence decided on and added to Allowed.", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy. The above copyright notice"
	module := func(body string, ids ...string) licences.Module {
		return licences.Module{Kind: licences.Go, Path: "example.com/m", Version: "v1.2.3", Licences: ids, Texts: []licences.Text{{Name: "LICENSE", Body: body}}}
	}
	for name, c := range map[string]struct {
		module licences.Module
		want   string
	}{
		"a good one":             {module(mit, "MIT"), ""},
		"none":                   {module("Use it on Tuesdays."), "go example.com/m v1.2.3: none of its files"},
		"one that asks too much": {module("GNU AFFERO GENERAL PUBLIC LICENSE", "AGPL-3.0-only"), "go example.com/m v1.2.3 is under AGPL-3.0-only"},
		"one of two":             {module(mit, "GPL-3.0-only", "MIT"), "is under GPL-3.0-only"},
		"one with a rider":       {module(mit+"\n“Commons\n * Clause” License Condition v1.0", "MIT"), `its file LICENSE says "commons clause"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := licences.Check([]licences.Module{c.module})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}
