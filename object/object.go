// Package object keeps named bytes until they expire: artifacts, logs, and what else tasks upload
// (taskcluster-map 11).
//
// An object is made by an upload and cannot be changed once that is finished. What is known of it
// stands in the table objects; its bytes, the content, are in a store (package store) under their
// sha256, shared by all objects with the same bytes. No part of an object's name ever becomes part of
// a path or key.
//
// Bytes arrive inside the call (small ones), by PUT to a signed URL of ours or of the store, or, our
// additions, in numbered parts that can be sent again after a crash, or in pieces appended to a file
// that others can read while it grows. A content gets its name only after it was written, made
// durable and hashed, so whenever the server is killed there is either no object or a whole one.
//
// There is always the store "disk", a folder, in which uploads by pieces grow; it must be on one file
// system, and shared by all servers of a deployment. New contents go to the store chosen for uploads;
// a content is read from a store of the reader's region, to which the first reader has it copied.
//
// All methods are safe for concurrent use, by several processes too. Errors carry a fault.Kind.
package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Config says where objects are kept and how they are reached. Dir, RootURL, URLKey and Log are
// required.
type Config struct {
	Dir     string // made when it does not exist; the store "disk" and uploads under way
	RootURL string // of the deployment, without trailing slash; signed URLs begin with it
	URLKey  []byte // at least 32 bytes; signs URLs
	// RetiredURLKeys signed URLs before; those hold until they end.
	RetiredURLKeys [][]byte
	Log            *slog.Logger
	MaxSize        int64 // bytes of the largest object; 0: 50 GiB

	Places     []Place       // stores besides the folder
	Uploads    string        // the name of the place that new contents go to; "": disk
	DiskRegion string        // the region of the folder
	CopyWait   time.Duration // how long the first reader in a region waits for its copy; 0: 10 s
	Regions    Regions
}

// Store keeps objects.
type Store struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	disk    disk
	places  places
	regions Regions
	rootURL string
	key     []byte
	retired [][]byte // keys of before
	maxSize int64
	growth  growth
	watch   func(ctx context.Context, id, size int64) // nil: nobody does
	copies  copies
	sweeper sweeper

	finishing singleflight.Group

	ending  chan struct{} // closed when the store stops: nobody waits for more any longer
	endOnce sync.Once
	running sync.WaitGroup
}

// Object is what is known of a finished object.
type Object struct {
	Name        string
	ProjectID   string
	ContentType string
	SHA256      string // lower-case hex
	Size        int64  // bytes
	Expires     time.Time
	Finished    time.Time
	Hashes      map[string]string // by algorithm, lower-case hex; those we know verified

	// Encoding is "gzip" for a content that is stored compressed; SHA256, Size and Hashes are of what
	// is in it, StoredSHA256 and StoredSize of what is stored.
	Encoding     string
	StoredSHA256 string
	StoredSize   int64
}

// New opens the store in a folder, making what is missing.
func New(pool *pgxpool.Pool, cfg Config) (*Store, error) {
	if len(cfg.URLKey) < 32 {
		return nil, fault.New(fault.Invalid, "object: the key that signs URLs must have at least 32 bytes, not %d", len(cfg.URLKey))
	}
	d, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	stores, err := cfg.places(d.Disk)
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	s := &Store{
		pool: pool, log: cfg.Log, disk: d, places: stores, regions: cfg.Regions,
		rootURL: strings.TrimRight(cfg.RootURL, "/"), key: cfg.URLKey, retired: cfg.RetiredURLKeys, maxSize: cfg.MaxSize,
		growth: growth{waiting: map[int64]chan struct{}{}}, copies: newCopies(cfg.CopyWait), ending: make(chan struct{}),
		sweeper: sweeper{after: map[string]string{}},
	}
	if s.maxSize <= 0 {
		s.maxSize = 50 << 30
	}
	return s, nil
}

// Get describes a finished object; one that does not exist, is not finished or has expired is a
// fault.NotFound.
func (s *Store) Get(ctx context.Context, name string) (Object, error) {
	o, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return Object{}, fmt.Errorf("object: get: %w", err)
	}
	if !o.visible() {
		return Object{}, notThere(name)
	}
	return o.object(), nil
}

// Delete removes an object, finished or not; one that does not exist is no error.
func (s *Store) Delete(ctx context.Context, name string) error {
	rows, err := s.pool.Query(ctx, deleteSQL.Text, name)
	if err == nil {
		_, err = s.dropUploads(ctx, rows)
	}
	if err != nil {
		return fmt.Errorf("object: delete %s: %w", name, pg.Classify(err))
	}
	return nil
}

// dropped is what a statement that deletes objects returns of each.
type dropped struct {
	ID            int64
	Store, Ticket string
}

// dropUploads removes what came of the unfinished uploads of objects that a statement deleted, and
// returns how many those were. Whole contents are left to Clean, for other objects may have them.
func (s *Store) dropUploads(ctx context.Context, rows pgx.Rows) (int, error) {
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[dropped])
	if err != nil {
		return 0, err
	}
	for _, o := range list {
		if err := os.Remove(s.disk.partial(o.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.WarnContext(ctx, "object: a file of a deleted upload is left; it is removed later", "id", o.ID, "err", err)
		}
		s.dropTicket(ctx, o.Store, o.Ticket)
		s.growth.grown(o.ID)
	}
	return len(list), nil
}

// dropTicket removes what a store has of an upload that nobody will finish.
func (s *Store) dropTicket(ctx context.Context, name, ticket string) {
	if ticket == "" {
		return
	}
	p, err := s.places.named(name)
	if err == nil {
		err = p.Store.DropParts(ctx, ticket)
	}
	if err != nil {
		s.log.WarnContext(ctx, "object: a part of a deleted upload is left; it is removed later", "store", name, "err", err)
	}
}

// record is a row of objects with what belongs to it.
type record struct {
	ID                     int64
	Name, ProjectID        string
	UploadID               string
	ContentType, Method    string
	ExpectedSize           *int64
	Claimed                map[string]string
	SHA256, SHA512         *string
	Size                   *int64
	Expires, UploadExpires time.Time
	Finished               *time.Time
	Expired                bool
	Store, Ticket          string // of its upload
	Encoding               string
	PlainSHA256            *string
	PlainSHA512            *string
	PlainSize              *int64
	Home                   *string // of its content
	Lost                   bool
}

func (o *record) visible() bool { return o.Finished != nil && !o.Expired }

// sealed reports whether an upload is decided and has its hash, but its content perhaps not its place
// yet. In the other ways content has its place as soon as it has come.
func (o *record) sealed() bool {
	late := o.Method == methodAppend || o.Method == methodParts || o.Method == methodDirect
	return late && o.SHA256 != nil && o.Finished == nil
}

// hashes are those of the content as readers see it.
func (o *record) hashes() (sha256, sha512 string) {
	if o.Encoding != "" {
		return *o.PlainSHA256, *o.PlainSHA512
	}
	return *o.SHA256, *o.SHA512
}

func (o *record) object() Object {
	out := Object{Name: o.Name, ProjectID: o.ProjectID, ContentType: o.ContentType, Expires: o.Expires, Hashes: map[string]string{}}
	for algorithm, value := range o.Claimed {
		out.Hashes[algorithm] = value
	}
	if o.SHA256 != nil && o.SHA512 != nil && o.Size != nil {
		out.StoredSHA256, out.StoredSize, out.Size = *o.SHA256, *o.Size, *o.Size
		sha256, sha512 := o.hashes()
		out.SHA256, out.Hashes["sha256"], out.Hashes["sha512"] = sha256, sha256, sha512
	}
	if o.Encoding != "" && o.PlainSize != nil {
		out.Encoding, out.Size = o.Encoding, *o.PlainSize
	}
	if o.Finished != nil {
		out.Finished = *o.Finished
	}
	return out
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// read runs a statement that returns one object; none is a fault.NotFound.
func (s *Store) read(ctx context.Context, db querier, sql string, args ...any) (*record, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, pg.Classify(err)
	}
	o, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[record])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, notThere(fmt.Sprint(args[0]))
	}
	return o, pg.Classify(err)
}

func notThere(name string) error {
	return fault.New(fault.NotFound, "Object %q does not exist, or its upload is not finished.", name)
}

const maxName = 2000 // bytes; a database index cannot hold much more

const maxProject = 500 // bytes of a project's name

var (
	namePattern      = regexp.MustCompile(`^[\x20-\x7e]+$`)
	projectPattern   = regexp.MustCompile(`^[a-zA-Z0-9._/-]+$`) // and at most maxProject bytes: a counted pattern is long when compiled
	algorithmPattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	hexPattern       = regexp.MustCompile(`^[0-9a-f]+$`)
)

func checkNames(name, projectID, uploadID string) error {
	switch {
	case len(name) > maxName || !namePattern.MatchString(name):
		return fault.New(fault.Invalid, "the name of an object must be printable ASCII of 1 to %d characters", maxName)
	case len(projectID) > maxProject || !projectPattern.MatchString(projectID):
		return fault.New(fault.Invalid, "the project %.100q must match %s, in at most %d bytes", projectID, projectPattern, maxProject)
	case !slug.Valid(uploadID):
		return fault.New(fault.Invalid, "the upload id %.100q must be a slugid", uploadID)
	}
	return nil
}

// checkHashes bounds what an uploader may claim; algorithms unknown to us are only stored.
func checkHashes(hashes map[string]string) error {
	want := map[string]int{"sha256": 64, "sha512": 128}
	if len(hashes) > 10 {
		return fault.New(fault.Invalid, "more than ten hashes are given")
	}
	for algorithm, value := range hashes {
		n, known := want[algorithm]
		if !algorithmPattern.MatchString(algorithm) || len(value) > 1000 || known && (len(value) != n || !hexPattern.MatchString(value)) {
			return fault.New(fault.Invalid, "the hash %.40q is not one; sha256 and sha512 are lower-case hexadecimal", algorithm)
		}
	}
	return nil
}

const columns = `o.id, o.name, o.project_id, o.upload_id, o.content_type, o.method, o.expected_size, o.claimed, o.sha256, o.sha512,
	c.size, o.expires, o.upload_expires, o.finished, o.expires <= now(), o.store, o.ticket, o.encoding, o.plain_sha256, o.plain_sha512,
	o.plain_size, c.store, coalesce(c.lost_since IS NOT NULL, false)`

const fromObjects = ` FROM objects o LEFT JOIN object_contents c ON c.sha256 = o.sha256 `

var readSQL = pg.Statement{Name: "object.read", Text: `SELECT ` + columns + fromObjects + `WHERE o.name = $1`}

var readLockedSQL = pg.Statement{Name: "object.read_locked", Text: `SELECT ` + columns + fromObjects + `WHERE o.name = $1 FOR UPDATE OF o`}

var readByIDSQL = pg.Statement{Name: "object.read_by_id", Text: `SELECT ` + columns + fromObjects + `WHERE o.id = $1`}

// deleteSQL also tells that the content may be unused now.
var deleteSQL = pg.Statement{Name: "object.delete", Text: `
WITH gone AS (DELETE FROM objects WHERE name = $1 RETURNING id, store, ticket, sha256),
marked AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM gone))
SELECT id, store, ticket FROM gone`}
