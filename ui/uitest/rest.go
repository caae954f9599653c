package uitest

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui"
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
	return ui.Rest{Index: s.Index, Secrets: s.Secrets}
}

// rooms are those of the smaller pages.
type rooms struct {
	Index   *index.Index
	Secrets *secrets.Secrets
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
