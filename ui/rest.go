package ui

import (
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui/indexpages"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/secretpages"
)

// Rest are what the smaller pages show. A page whose room is nil is left out.
type Rest struct {
	Index   *index.Index
	Secrets *secrets.Secrets
}

// rest are the smaller pages.
func (d Deps) rest(viewer *logs.Pages) (list []area, artifacts *indexpages.Pages) {
	artifacts = &indexpages.Pages{Index: d.Index, Queue: d.Queue, Objects: d.Objects, Logs: viewer, RootURL: d.RootURL}
	if d.Index != nil && d.Objects != nil {
		list = append(list, artifacts)
	}
	if d.Secrets != nil {
		list = append(list, &secretpages.Pages{Secrets: d.Secrets})
	}
	return list, artifacts
}
