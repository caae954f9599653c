package ghfake

import (
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

const zeros = bare.Zeros

// Change is one commit.
type Change = bare.Change

// serveGit answers clones and fetches.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	name, isGit := strings.CutSuffix(r.PathValue("file"), ".git")
	s.mu.Lock()
	repo := s.repoByName(r.PathValue("owner") + "/" + name)
	allowed := repo != nil && !repo.private
	if _, password, ok := r.BasicAuth(); ok && repo != nil {
		t := s.tokens[password]
		allowed = t != nil && s.Now().Before(t.expires) && t.reaches(repo) && t.may("contents", "read")
	}
	s.mu.Unlock()
	if !isGit || repo == nil {
		http.NotFound(w, r)
		return
	}
	if !allowed {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Repository not found.", http.StatusUnauthorized)
		return
	}
	repo.git.Serve(w, r, "/"+r.PathValue("owner")+"/"+r.PathValue("file"))
}
