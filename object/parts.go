package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/object/store"
)

// PartsTarget is where numbered parts go, and where one asks which are there. All parts but the last
// have PartSize bytes.
type PartsTarget struct {
	URL      string
	PartSize int64
	Expires  time.Time
}

// PartsState is what there is of an upload in parts.
type PartsState struct {
	PartSize int64
	Count    int // of all parts that are to come
	Parts    []store.Part
}

// ticket returns the store's name for an upload in parts, which is begun there if it was not yet.
func (s *Store) ticket(ctx context.Context, o *record) (string, error) {
	if o.Ticket != "" {
		return o.Ticket, nil
	}
	p, err := s.places.named(o.Store)
	if err != nil {
		return "", err
	}
	ticket, err := p.Store.BeginParts(ctx)
	if err != nil {
		return "", err
	}
	kept, err := s.keepTicket(ctx, o, ticket)
	if kept != ticket || err != nil {
		s.dropTicket(ctx, o.Store, ticket)
	}
	return kept, err
}

// keepTicket makes ticket the upload's one, unless another server was faster, whose ticket it returns.
func (s *Store) keepTicket(ctx context.Context, o *record, ticket string) (string, error) {
	tag, err := s.pool.Exec(ctx, keepTicketSQL.Text, o.ID, o.Method, o.Store, ticket)
	if err != nil {
		return "", pg.Classify(err)
	}
	if tag.RowsAffected() > 0 {
		o.Ticket = ticket
		return ticket, nil
	}
	now, err := s.read(ctx, s.pool, readByIDSQL.Text, o.ID)
	if err != nil {
		return "", unsigned(err)
	}
	if now.Method != o.Method || now.Store != o.Store || now.Ticket == "" || now.SHA256 != nil {
		return "", fault.New(fault.Conflict, "The upload of object %q was finished or replaced meanwhile.", o.Name)
	}
	o.Ticket = now.Ticket
	return o.Ticket, nil
}

// parts returns how many parts an upload has, and the place and size of one of them.
func (o *record) part(number int) (count int, part store.Part, err error) {
	size := store.PartSize(*o.ExpectedSize)
	count = int((*o.ExpectedSize + size - 1) / size)
	if number < 1 || number > count {
		return count, part, fault.New(fault.Invalid, "The upload has parts 1 to %d; %d is none of them.", count, number)
	}
	part = store.Part{Number: number, Offset: int64(number-1) * size}
	part.Size = min(size, *o.ExpectedSize-part.Offset)
	return count, part, nil
}

var sumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// PutPart takes a part of an upload begun with Parts, by the id that Holds returned. When it returns,
// the part is durable and has the sha256 given. Parts may come in any order, several at a time, and
// again.
func (s *Store) PutPart(ctx context.Context, id int64, number int, sha256 string, body io.Reader) (store.Part, error) {
	o, err := s.byURL(ctx, id, methodParts)
	if err == nil {
		err = finishedBefore(o)
	}
	if err != nil {
		return store.Part{}, fmt.Errorf("object: put part: %w", err)
	}
	_, part, err := o.part(number)
	if err != nil {
		return part, fmt.Errorf("object: put part: %w", err)
	}
	if part.SHA256 = sha256; !sumPattern.MatchString(sha256) {
		return part, fault.New(fault.Invalid, "The sha256 of the part must be 64 lower-case hexadecimal digits.")
	}
	if err := s.putPart(ctx, o, &part, body); err != nil {
		return part, fmt.Errorf("object: put part %d of %s: %w", number, o.Name, err)
	}
	return part, nil
}

func (s *Store) putPart(ctx context.Context, o *record, part *store.Part, body io.Reader) error {
	moved := fault.New(fault.Conflict, "The upload is being finished or was begun anew. Ask which parts are there.")
	ticket, err := s.ticket(ctx, o)
	if err != nil {
		return err
	}
	home, err := s.places.named(o.Store)
	if err != nil {
		return err
	}
	part.Tag, err = home.Store.PutPart(ctx, ticket, *part, body)
	if errors.Is(err, fs.ErrNotExist) {
		return moved
	}
	if err != nil {
		return received(err)
	}
	tag, err := s.pool.Exec(ctx, enterPartSQL.Text, o.ID, ticket, part.Number, part.Size, part.SHA256, part.Tag)
	if err != nil {
		return pg.Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return moved
	}
	return nil
}

// ListParts says what there is of an upload begun with Parts, by the id that Holds returned. One that
// is finished has no parts any more.
func (s *Store) ListParts(ctx context.Context, id int64) (PartsState, error) {
	o, err := s.byURL(ctx, id, methodParts)
	if err == nil {
		err = finishedBefore(o)
	}
	if err != nil {
		return PartsState{}, fmt.Errorf("object: list parts: %w", err)
	}
	list, err := s.parts(ctx, o)
	if err != nil {
		return PartsState{}, fmt.Errorf("object: list parts of %s: %w", o.Name, err)
	}
	size := store.PartSize(*o.ExpectedSize)
	return PartsState{PartSize: size, Count: int((*o.ExpectedSize + size - 1) / size), Parts: list}, nil
}

func (s *Store) parts(ctx context.Context, o *record) ([]store.Part, error) {
	rows, err := s.pool.Query(ctx, partsSQL.Text, o.ID)
	if err != nil {
		return nil, pg.Classify(err)
	}
	size := store.PartSize(*o.ExpectedSize)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p store.Part, err error) {
		err = row.Scan(&p.Number, &p.Size, &p.SHA256, &p.Tag)
		p.Offset = int64(p.Number-1) * size
		return p, err
	})
	return list, pg.Classify(err)
}

// sealParts ends an upload in parts: when all are there they are joined, and the whole is read and
// hashed as it is stored. A whole that is not what was promised cannot be mended, so that nothing of
// it is kept, and the parts have to come again.
func (s *Store) sealParts(ctx context.Context, o *record, hashes map[string]string) error {
	home, err := s.places.named(o.Store)
	if err != nil {
		return err
	}
	list, err := s.parts(ctx, o)
	if err != nil {
		return err
	}
	if missing := o.missing(list); missing > 0 {
		return fault.New(fault.Conflict, "Part %d was not uploaded.", missing)
	}
	ticket, err := s.ticket(ctx, o)
	if err != nil {
		return err
	}
	staged, err := home.Store.JoinParts(ctx, ticket, list)
	for range joinTries {
		// Another server may be joining them just now: then they are neither here nor there for a moment.
		if !errors.Is(err, fs.ErrNotExist) || pause(ctx, joinPause) != nil {
			break
		}
		if now, readErr := s.read(ctx, s.pool, readByIDSQL.Text, o.ID); readErr != nil || now.SHA256 != nil || now.Ticket != ticket {
			return nil // finish sees what became of it
		}
		staged, err = home.Store.JoinParts(ctx, ticket, list)
	}
	if err == nil {
		err = s.sealAs(ctx, o, hashes, staged)
	}
	switch {
	case errors.Is(err, errMoved):
		return nil // finished, sealed or deleted meanwhile; finish sees which
	case errors.Is(err, fs.ErrNotExist):
		if now, readErr := s.read(ctx, s.pool, readByIDSQL.Text, o.ID); readErr == nil && now.SHA256 != nil {
			return nil
		}
		return errors.Join(fault.Wrap(fault.Conflict, err, "The parts are not there any more. Send them again."), s.forgetParts(ctx, o))
	case errors.Is(err, fault.Invalid) && staged != nil:
		return errors.Join(err, s.forgetParts(ctx, o))
	}
	return err
}

const (
	joinTries = 5
	joinPause = 300 * time.Millisecond
)

// pause returns when some time has passed, or ctx has ended, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// missing returns the number of the first part that is not in a list, 0 for none.
func (o *record) missing(list []store.Part) int {
	count, _, err := o.part(1)
	if err != nil {
		return 0 // an empty content has no parts
	}
	for i := range count {
		if i >= len(list) || list[i].Number != i+1 {
			return i + 1
		}
	}
	return 0
}

// forgetParts takes an upload in parts back to its beginning.
func (s *Store) forgetParts(ctx context.Context, o *record) error {
	ctx = context.WithoutCancel(ctx)
	tag, err := s.pool.Exec(ctx, restartSQL.Text, o.ID, o.Ticket)
	if err != nil {
		return pg.Classify(err)
	}
	if tag.RowsAffected() > 0 {
		s.dropTicket(ctx, o.Store, o.Ticket)
	}
	return nil
}

// offerDirect returns a URL of the store itself. What comes there is looked at by FinishUpload.
func (s *Store) offerDirect(ctx context.Context, o *record) (*PutTarget, error) {
	p, err := s.places.named(o.Store)
	if err != nil {
		return nil, err
	}
	signer, ok := p.signer(true)
	if !ok {
		return nil, fmt.Errorf("the store %s signs no URLs", p.Name)
	}
	if o.Ticket == "" {
		if _, err := s.keepTicket(ctx, o, signer.NewPut()); err != nil {
			return nil, err
		}
	}
	address, headers, err := signer.SignPut(ctx, o.Ticket, *o.ExpectedSize, o.ContentType, writeFor)
	return &PutTarget{URL: address, Headers: headers, Expires: time.Now().Add(writeFor)}, err
}

// sealDirect looks at what came to a URL of the store itself.
func (s *Store) sealDirect(ctx context.Context, o *record, hashes map[string]string) error {
	p, err := s.places.named(o.Store)
	if err != nil {
		return err
	}
	signer, ok := p.signer(true)
	if !ok || o.Ticket == "" {
		return fault.New(fault.Conflict, "No content was uploaded.")
	}
	staged, err := signer.Inspect(ctx, o.Ticket)
	if errors.Is(err, fs.ErrNotExist) {
		if now, readErr := s.read(ctx, s.pool, readByIDSQL.Text, o.ID); readErr == nil && now.SHA256 != nil {
			return nil
		}
		return fault.New(fault.Conflict, "No content was uploaded.")
	}
	if err == nil {
		err = s.sealAs(ctx, o, hashes, staged)
	}
	if errors.Is(err, errMoved) {
		return nil // finished, sealed or deleted meanwhile; finish sees which
	}
	return err
}

var keepTicketSQL = pg.Statement{Name: "object.keep_ticket", Text: `
UPDATE objects SET ticket = $4 WHERE id = $1 AND method = $2 AND store = $3 AND ticket = '' AND sha256 IS NULL`}

// enterPartSQL holds the object's row, so that a part never comes to an upload that is sealed or was
// begun anew.
var enterPartSQL = pg.Statement{Name: "object.enter_part", Text: `
WITH upload AS (
	UPDATE objects SET upload_expires = now() + interval '1 day' WHERE id = $1 AND ticket = $2 AND method = 'parts' AND sha256 IS NULL RETURNING id
)
INSERT INTO object_parts (object_id, number, size, sha256, tag) SELECT id, $3, $4, $5, $6 FROM upload
ON CONFLICT (object_id, number) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, tag = excluded.tag`}

var partsSQL = pg.Statement{Name: "object.parts", Text: `SELECT number, size, sha256, tag FROM object_parts WHERE object_id = $1 ORDER BY number`}

var forgetPartsSQL = pg.Statement{Name: "object.forget_parts", Text: `DELETE FROM object_parts WHERE object_id = $1`}

var restartSQL = pg.Statement{Name: "object.restart", Text: `
WITH upload AS (UPDATE objects SET ticket = '' WHERE id = $1 AND ticket = $2 AND sha256 IS NULL RETURNING id),
parts AS (DELETE FROM object_parts WHERE object_id IN (SELECT id FROM upload))
SELECT id FROM upload`}
