package uitest

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui"
	"github.com/treeline-ci/treeline/ui/small"
	"github.com/treeline-ci/treeline/ui/trees"
)

// newRest makes the rooms of the smaller pages.
func newRest(t testing.TB, s *Site) ui.Rest {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	audit := func(ctx context.Context, tx pgx.Tx, name, client, action string) error {
		return auth.Audit(ctx, tx, auth.Record{EntityType: "secret", EntityID: name, ClientID: client, Action: action})
	}
	s.Index = index.New(s.Pool)
	s.Secrets = secrets.New(secrets.Deps{Pool: s.Pool, Ring: ring, Audit: audit, Log: s.log})
	s.Trees = &trees.Book{Pool: s.Pool, Wake: s.Feed.Wake}
	s.Purges = purgecache.New(s.Pool)
	s.Notify = notify.New(notify.Deps{Pool: s.Pool, Log: s.log, Wake: s.Feed.Wake, RootURL: s.URL, Task: s.Queue.Task})
	site := func() http.Handler { return s.site }
	return ui.Rest{Index: s.Index, Secrets: s.Secrets, Trees: s.Trees, Purges: s.Purges, Notify: s.Notify, Pulse: pulse.NewMapping("taskcluster"), Site: site, Try: func() http.Handler { return s.try }}
}

// rooms are those of the smaller pages.
type rooms struct {
	Index     *index.Index
	Secrets   *secrets.Secrets
	Trees     *trees.Book
	Purges    *purgecache.PurgeCache
	Notify    *notify.Notify
	site, try http.Handler
}

// mounted keeps the whole server for its own pages, and a second way into its API for calls that are tried.
func (s *Site) mounted(t testing.TB, site http.Handler, services ...web.Service) {
	t.Helper()
	var err error
	s.site = site
	if s.try, err = web.Mount(services, small.Authenticator{}, web.Options{RootURL: s.URL, Log: s.log}); err != nil {
		t.Fatal(err)
	}
}

// Part asks for a part of a file, as "bytes=0-9".
func (b *Browser) Part(t testing.TB, path, part string) *Document {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.site.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", part)
	return b.do(t, r)
}

// Publish publishes an artifact of any size of a running task's first run.
func (s *Site) Publish(t testing.TB, id, name, contentType string, content io.Reader) {
	t.Helper()
	ctx, expires := t.Context(), time.Now().Add(12*time.Hour)
	u, err := s.Queue.CreateArtifact(ctx, id, 0, name, queue.NewArtifact{StorageType: queue.StorageObject, ContentType: contentType, Expires: task.At(expires)})
	if err == nil {
		_, err = s.objects.Put(ctx, u.Name, u.ProjectID, contentType, expires, content, "")
	}
	if err == nil {
		err = s.Queue.FinishArtifact(ctx, id, 0, name, u.UploadID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Size downloads a file, keeps none of it, and tells its size.
func (b *Browser) Size(t testing.TB, path string) (int64, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.site.URL+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}
