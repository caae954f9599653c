package known_test

import (
	"testing"

	"github.com/treeline-ci/treeline/importer/actions/known"
)

func TestImagesOfLanguages(t *testing.T) {
	for _, c := range []struct{ action, version, want string }{
		{"actions/setup-go", "1.24", "golang:1.24"},
		{"actions/setup-go", "stable", "golang:latest"},
		{"actions/setup-node", "20.x", "node:20"},
		{"actions/setup-node", "lts/*", "node:lts"},
		{"actions/setup-java", "17", "maven:3-eclipse-temurin-17"},
		{"actions/setup-java", "", "maven:latest"},
		{"dtolnay/rust-toolchain", "nightly-2026-01-01", "rustlang/rust:nightly"},
		{"dtolnay/rust-toolchain", "1.80.1", "rust:1.80.1"},
		{"actions/checkout", "", ""},
	} {
		if got := known.Image(c.action, c.version); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.action, c.version, got, c.want)
		}
	}
}
