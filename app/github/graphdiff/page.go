package graphdiff

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/diff"
)

// About says whose comparison a page shows.
type About struct {
	Repository string `json:"repository"` // owner/name
	URL        string `json:"url"`        // of the repository
	Pull       int    `json:"pull"`
	Revision   string `json:"revision"` // of the head
}

// Page gives what the page of a comparison shows, as package ui/diffview reads it, and a name that follows from it.
func (o Outcome) Page(about About) (name string, content []byte, err error) {
	content, err = json.Marshal(struct {
		About
		Report diff.Report `json:"report"`
	}{about, o.Report})
	if err != nil {
		return "", nil, fmt.Errorf("graphdiff: page: %w", err)
	}
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%d-%.12s-%s", about.Pull, about.Revision, hex.EncodeToString(sum[:8])), content, nil
}

// Keep keeps a page's content for a time.
type Keep func(ctx context.Context, name string, last time.Duration, content io.Reader) error

// keepPageFor is how long the page of a comparison is there.
const keepPageFor = 90 * 24 * time.Hour

// KeepPage keeps the page of a comparison under a repository, and returns its address; "" when there is none to keep.
func (o Outcome) KeepPage(ctx context.Context, keep Keep, rootURL, repository string, about About) (string, error) {
	if keep == nil || len(o.Report.Sets) == 0 {
		return "", nil
	}
	name, content, err := o.Page(about)
	if err != nil {
		return "", err
	}
	if err := keep(ctx, Object(repository, name), keepPageFor, bytes.NewReader(content)); err != nil && fault.KindOf(err) != fault.Conflict {
		return "", err
	}
	return rootURL + "/graph-diff/" + url.PathEscape(repository) + "/" + name, nil
}

// Object is the name of the object with the comparison that a page shows.
func Object(repository, name string) string { return "graph-diff/" + repository + "/" + name }
