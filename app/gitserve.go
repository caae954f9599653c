package app

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/localgit"
)

// maxFetchRequest bounds what a fetching git client may say, in bytes: names of commits it wants
// and has.
const maxFetchRequest = 8 << 20

// gitServer lets tasks fetch the local repositories over HTTP, so that a worker needs no right to
// the directories. It only reads.
//
// The caller needs the scope localgit:fetch:<repository>: from the anonymous role, or as the client
// whose id and access token are given as user name and password.
type gitServer struct {
	repos map[string]*localgit.Repo
	auth  *auth.Auth
	log   *slog.Logger
	packs chan struct{} // one entry for each git that packs now
}

// maxPacks is how many fetches are packed at a time; others wait for their turn.
const maxPacks = 16

func newGitServer(repos map[string]*localgit.Repo, a *auth.Auth, log *slog.Logger) *gitServer {
	return &gitServer{repos: repos, auth: a, log: log, packs: make(chan struct{}, maxPacks)}
}

func (g *gitServer) routes(mux web.Router) {
	mux.HandleFunc("GET /git/{repo}/info/refs", g.advertise)
	mux.HandleFunc("POST /git/{repo}/git-upload-pack", g.uploadPack)
	mux.HandleFunc("GET /git/{repo}/blob/{revision}/{path...}", g.source)
}

// source shows a file, or lists a directory, of a revision as plain text: where the "source" of a
// task's metadata leads.
func (g *gitServer) source(w http.ResponseWriter, r *http.Request) {
	repo, ok := g.repository(w, r)
	if !ok {
		return
	}
	tree, err := repo.Tree(r.Context(), r.PathValue("revision"))
	if err != nil {
		http.Error(w, "no such revision in this repository", http.StatusNotFound)
		return
	}
	name := strings.Trim(r.PathValue("path"), "/")
	if name == "" {
		name = "."
	}
	content, err := tree.ReadFile(name)
	if list, dirErr := tree.ReadDir(name); dirErr == nil {
		content, err = []byte(name+":\n"), nil
		for _, entry := range list {
			content = append(content, entry.Name()+"\n"...)
		}
	}
	if err != nil {
		http.Error(w, "no such file at this revision", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if _, err := w.Write(content); err != nil && r.Context().Err() == nil {
		g.log.WarnContext(r.Context(), "source", "path", name, "err", err)
	}
}

// repository returns the repository asked for, or answers why not.
func (g *gitServer) repository(w http.ResponseWriter, r *http.Request) (*localgit.Repo, bool) {
	name := r.PathValue("repo")
	if err := g.allow(r, name); errors.Is(err, fault.Unauthenticated) || errors.Is(err, fault.Forbidden) {
		w.Header().Set("WWW-Authenticate", `Basic realm="client id and access token"`)
		http.Error(w, fault.Message(err), http.StatusUnauthorized)
		return nil, false
	} else if err != nil {
		g.log.ErrorContext(r.Context(), "git fetch: who asks", "err", err)
		http.Error(w, fault.Message(err), http.StatusInternalServerError)
		return nil, false
	}
	repo, ok := g.repos[name]
	if !ok {
		http.Error(w, "no such repository to fetch from", http.StatusNotFound)
	}
	return repo, ok
}

func (g *gitServer) allow(r *http.Request, name string) error {
	caller, err := g.auth.AnonymousCaller(r.Context())
	id, token, given := r.BasicAuth()
	if given && err == nil {
		caller, err = g.auth.CheckToken(r.Context(), hawk.Credentials{ClientID: id, AccessToken: token})
	}
	if err != nil {
		return err
	}
	return scope.Check(caller.ClientID, !given, caller.Scopes, scope.String("localgit:fetch:"+name))
}

func (g *gitServer) advertise(w http.ResponseWriter, r *http.Request) {
	repo, ok := g.repository(w, r)
	if !ok {
		return
	}
	if r.URL.Query().Get("service") != "git-upload-pack" {
		http.Error(w, "only fetching over smart HTTP is served here", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	w.Header().Set("Cache-Control", "no-cache")
	if err := repo.Advertise(r.Context(), w, r.Header.Get("Git-Protocol")); err != nil && r.Context().Err() == nil {
		g.log.WarnContext(r.Context(), "git fetch: advertise", "repository", r.PathValue("repo"), "err", err)
	}
}

func (g *gitServer) uploadPack(w http.ResponseWriter, r *http.Request) {
	repo, ok := g.repository(w, r)
	if !ok {
		return
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxFetchRequest)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "the body is not gzip as its header says", http.StatusBadRequest)
			return
		}
		body = io.LimitReader(unzipped, maxFetchRequest)
	}
	select {
	case g.packs <- struct{}{}:
		defer func() { <-g.packs }()
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	w.Header().Set("Cache-Control", "no-cache")
	if err := repo.UploadPack(r.Context(), body, w, r.Header.Get("Git-Protocol")); err != nil && r.Context().Err() == nil {
		g.log.WarnContext(r.Context(), "git fetch", "repository", r.PathValue("repo"), "err", err)
	}
}
