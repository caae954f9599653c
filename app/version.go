package app

import (
	"runtime/debug"

	"github.com/treeline-ci/treeline/internal/web"
)

// build says which program this is, as the Go toolchain recorded it.
func build() web.Build {
	b := web.Build{Version: "unknown", Source: "https://github.com/treeline-ci/treeline"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}
