package tasklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	// DefaultEvery is how often a growing log is sent.
	DefaultEvery = 150 * time.Millisecond
	maxPiece     = 1 << 20
	// shortRun is how long a log waits before it is published as one to follow: that takes several calls, which
	// a run that is over by then saves.
	shortRun = 100 * time.Millisecond
	// maxBackwards is how often the server may ask for bytes again without any progress.
	maxBackwards = 20
	contentType  = "text/plain; charset=utf-8"
)

// Uploader sends a log while it grows.
type Uploader struct {
	// Together leaves the last step to the report of the run, if one call can do both: see Rest.
	Together bool
	Log      *Log
	Client   func() *client.Client // with the task's credentials of the moment
	TaskID   string
	RunID    int
	Live     string // artifact by which the log is followed; "" for none
	Backing  string // artifact that holds it in the end
	Expires  task.Time
	Every    time.Duration // 0: DefaultEvery
	Report   func(error)   // told of the first of several failures in a row; may be nil

	rest *Rest
}

// Run sends what is written until the log is closed and all of it is uploaded and finished, but for the Rest. While
// the server is away it goes on trying until ctx ends.
func (u *Uploader) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.Log.done:
		return u.whole(ctx)
	case <-time.After(shortRun):
	}
	var stream *client.Stream
	err := u.insist(ctx, func() error {
		var err error
		stream, err = u.Client().OpenStream(ctx, client.Upload{
			TaskID: u.TaskID, RunID: u.RunID, Name: u.Backing, ContentType: contentType, Expires: u.Expires,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("tasklog: open stream: %w", err)
	}
	if stream.Live() && u.Live != "" {
		err := u.insist(ctx, func() error {
			return u.Client().ReferenceArtifact(ctx, u.TaskID, u.RunID, u.Live, contentType, stream.URL(), u.Expires)
		})
		if err != nil {
			return fmt.Errorf("tasklog: publish %s: %w", u.Live, err)
		}
	}
	if err := u.follow(ctx, stream); err != nil {
		return fmt.Errorf("tasklog: send: %w", err)
	}
	return u.finish(ctx, stream)
}

// Rest is the last step of a log's upload, which nobody can read before.
type Rest struct {
	Artifacts []client.WholeArtifact          // to be made together with the report of the run
	Settle    func(ctx context.Context) error // makes them by calls of its own instead; the log may be discarded
}

// Rest is what Run has left to be done, nil when there is nothing. It may be called when Run has returned.
func (u *Uploader) Rest() *Rest { return u.rest }

func (u *Uploader) leave(log client.WholeArtifact, settle func(context.Context) error) {
	u.rest = &Rest{Artifacts: []client.WholeArtifact{log}, Settle: settle}
	if u.Live != "" {
		u.rest.Artifacts = append(u.rest.Artifacts, client.WholeArtifact{
			Name: u.Live, StorageType: "link", ContentType: contentType, Expires: u.Expires, Artifact: u.Backing,
		})
	}
}

// whole sends the log of a run that is over before anybody could have followed it.
func (u *Uploader) whole(ctx context.Context) error {
	if u.Together && u.Log.Size() <= client.MaxWhole {
		content := make([]byte, u.Log.Size())
		if _, err := u.Log.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("tasklog: read: %w", err)
		}
		u.leave(client.WholeArtifact{Name: u.Backing, StorageType: "object", ContentType: contentType, Expires: u.Expires, Content: &content},
			func(ctx context.Context) error { return u.upload(ctx, bytes.NewReader(content), int64(len(content))) })
		return nil
	}
	return u.upload(ctx, u.Log, u.Log.Size())
}

func (u *Uploader) upload(ctx context.Context, content io.ReaderAt, size int64) error {
	err := u.insist(ctx, func() error {
		up := client.Upload{TaskID: u.TaskID, RunID: u.RunID, Name: u.Backing, ContentType: contentType, Expires: u.Expires}
		_, err := u.Client().UploadArtifact(ctx, up, content, size)
		return err
	})
	if err != nil {
		return fmt.Errorf("tasklog: upload: %w", err)
	}
	return u.link(ctx)
}

func (u *Uploader) finish(ctx context.Context, stream *client.Stream) error {
	size, sum := u.Log.Size(), u.Log.Sum()
	finish := func(ctx context.Context) error {
		err := u.insist(ctx, func() error { return stream.Finish(ctx, u.Client(), u.Log, size, sum) })
		if err != nil {
			return fmt.Errorf("tasklog: finish: %w", err)
		}
		return u.link(ctx)
	}
	if a, ok := stream.Whole(sum); ok && u.Together {
		u.leave(a, finish)
		return nil
	}
	return finish(ctx)
}

// link makes the followed name one of the whole log.
func (u *Uploader) link(ctx context.Context) error {
	if u.Live == "" {
		return nil
	}
	err := u.insist(ctx, func() error {
		return u.Client().LinkArtifact(ctx, u.TaskID, u.RunID, u.Live, contentType, u.Backing, u.Expires)
	})
	if err != nil {
		return fmt.Errorf("tasklog: link %s: %w", u.Live, err)
	}
	return nil
}

// follow sends the log's bytes as they come, in pieces, not more often than u.Every.
func (u *Uploader) follow(ctx context.Context, stream *client.Stream) error {
	var sent int64
	var last time.Time // when a piece was sent
	backwards := 0
	piece := make([]byte, maxPiece)
	for {
		closed := u.wait(ctx, last)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !stream.Live() {
			if closed {
				return nil
			}
			continue
		}
		for size := u.Log.Size(); sent < size; {
			next, err := u.send(ctx, stream, sent, piece[:min(maxPiece, size-sent)])
			if err != nil {
				return err
			}
			if next > u.Log.Size() {
				return fault.New(fault.Conflict, "the server already holds %d bytes, more than the log has", next)
			}
			if next > sent {
				backwards = 0
			} else if backwards++; backwards > maxBackwards {
				return fault.New(fault.Internal, "the server does not take bytes from %d on", sent)
			}
			sent, last = next, time.Now()
		}
		if closed && sent == u.Log.Size() {
			return nil
		}
	}
}

func (u *Uploader) send(ctx context.Context, stream *client.Stream, sent int64, piece []byte) (next int64, err error) {
	n, err := u.Log.ReadAt(piece, sent)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return sent, fmt.Errorf("read the log: %w", err)
	}
	err = u.insist(ctx, func() error {
		next, err = stream.Append(ctx, u.Client(), sent, piece[:n])
		return err
	})
	return next, err
}

// wait returns when there is more to send, or the log is closed; soon after the last piece it waits a
// little so that many small writes become one. The first piece, which tells a reader that the run
// is alive, and what comes after a silence go at once.
func (u *Uploader) wait(ctx context.Context, last time.Time) (closed bool) {
	select {
	case <-ctx.Done():
		return false
	case <-u.Log.done:
		return true
	case <-u.Log.grown:
	}
	every := u.Every
	if every == 0 {
		every = DefaultEvery
	}
	timer := time.NewTimer(time.Until(last.Add(every)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-u.Log.done:
		return true
	case <-timer.C:
	}
	return false
}

// insist repeats a call for as long as the server is away.
func (u *Uploader) insist(ctx context.Context, call func() error) error {
	told := false
	for {
		err := call()
		if err == nil || !errors.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return err
		}
		if !told && u.Report != nil {
			u.Report(err)
		}
		told = true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
