// Package probe asks the parts of a deployment whether they work, as its configuration says, without a server.
package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/object/store"
	"github.com/treeline-ci/treeline/push"
)

// Outcome is how a part of a deployment answers that a server would use.
type Outcome struct {
	Name string // of the store or repository
	Disk string // its directory; "" when it has none here
	Err  error
	// Expiring are rules of a bucket that remove contents by their age.
	Expiring []string
}

// probeSize is how many bytes are written to a store to see whether they come back.
const probeSize = 64 << 10

// Stores writes a content to each store of a configuration, reads it back, and removes it. DataDir must be there.
func Stores(ctx context.Context, c app.Config) []Outcome {
	stores := append([]app.ObjectStore{{Name: "disk", Disk: c.DataDir}}, c.Objects.Stores...)
	out := make([]Outcome, len(stores))
	for i, s := range stores {
		out[i] = Outcome{Name: s.Name, Disk: s.Disk}
		out[i].Expiring, out[i].Err = probeStore(ctx, s)
	}
	return out
}

func probeStore(ctx context.Context, s app.ObjectStore) (expiring []string, err error) {
	var place store.Store
	if s.S3 == nil {
		place, err = store.OpenDisk(s.Disk)
	} else {
		var bucket *store.S3
		if bucket, err = store.OpenS3(store.S3Config(*s.S3)); err == nil {
			place, err = bucket, bucket.Check(ctx)
		}
		if err == nil {
			expiring, err = bucket.Expiring(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	return expiring, probePlace(ctx, place)
}

func probePlace(ctx context.Context, place store.Store) (err error) {
	content := make([]byte, probeSize)
	rand.Read(content)
	staged, err := place.Receive(ctx, bytes.NewReader(content), probeSize)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		err = errors.Join(err, place.Discard(clean, staged), place.Remove(clean, staged.SHA256))
	}()
	if err := place.Place(ctx, staged); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := readBack(ctx, place, staged.SHA256, content); err != nil {
		return err
	}
	if err := place.Remove(ctx, staged.SHA256); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if _, err := place.Stat(ctx, staged.SHA256); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what was removed is there still: %w", err)
	}
	return nil
}

func readBack(ctx context.Context, place store.Store, sum string, content []byte) error {
	r, err := place.Open(ctx, sum, probeSize)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(got, content) {
		return errors.New("read: other bytes come back than were written")
	}
	return nil
}

// Mercurial asks each Mercurial repository of a configuration for its heads.
func Mercurial(ctx context.Context, c app.Config) []Outcome {
	var out []Outcome
	servers, authorities := hg.NewServers(0), map[string]*x509.CertPool{}
	for _, r := range c.Remote {
		if r.Kind != push.Mercurial {
			continue
		}
		repo, err := r.Open(servers, r.URL, authorities)
		if err == nil {
			_, _, _, err = repo.Refs(ctx, "")
		}
		out = append(out, Outcome{Name: r.Name, Err: err})
	}
	return out
}
