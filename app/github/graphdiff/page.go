package graphdiff

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

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
