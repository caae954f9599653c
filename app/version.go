package app

import (
	program "github.com/treeline-ci/treeline/internal/build"
	"github.com/treeline-ci/treeline/internal/web"
)

// build says which program this is to those who ask the server.
func build() web.Build {
	i := program.Read()
	return web.Build{Version: i.Version, Commit: i.Commit, Source: program.Source}
}
