package workers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/payload"
)

const (
	uploadsAtOnce = 4
	maxArtifacts  = 20_000 // files of one run
	maxNameLength = 1024
)

// missing is a promised artifact that cannot be provided.
type missing struct {
	artifact payload.Artifact
	reason   client.ArtifactReason
	text     string
}

// found is a file to be uploaded.
type found struct {
	file, name  string
	contentType string
	expires     task.Time
}

// uploadArtifacts provides what the payload promised, also when the commands failed. A missing
// artifact that is not optional becomes an error artifact and fails the run (taskcluster-map
// 16.4).
func (r *run) uploadArtifacts(result outcome) outcome {
	files, gone, err := r.findArtifacts()
	if err != nil {
		return r.exceptionFor("The artifacts cannot be uploaded", err)
	}
	for _, m := range gone {
		r.log.Error("Artifact %s: %s", m.artifact.Name, m.text)
		err := r.lease.client().ErrorArtifact(r.doing, r.taskID, r.claim.RunID, m.artifact.Name, m.reason, m.text, r.expires(m.artifact.Expires))
		if err != nil {
			return r.exceptionFor("Artifact "+m.artifact.Name+" cannot be made", err)
		}
		if result.reason == task.ReasonCompleted {
			result = outcome{task.ReasonFailed, "The task did not leave all the artifacts it promised."}
		}
	}
	var bytes atomic.Int64
	group, ctx := errgroup.WithContext(r.doing)
	group.SetLimit(uploadsAtOnce)
	for _, f := range files {
		group.Go(func() error {
			n, err := r.uploadArtifact(ctx, f)
			bytes.Add(n)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return r.exceptionFor("An artifact cannot be uploaded", err)
	}
	if err := r.extras(files); err != nil {
		return r.exceptionFor("An artifact cannot be made", err)
	}
	if len(files) > 0 {
		r.log.Say("Artifacts: %d files, %d bytes, each verified by its sha256.", len(files), bytes.Load())
	}
	return result
}

func (r *run) uploadArtifact(ctx context.Context, f found) (int64, error) {
	file, info, err := r.open(f.file)
	if err != nil {
		return 0, fault.Wrap(fault.Invalid, err, "%s", f.name)
	}
	defer file.Close()
	up := client.Upload{TaskID: r.taskID, RunID: r.claim.RunID, Name: f.name, ContentType: f.contentType, Expires: f.expires}
	for began := time.Now(); ; {
		done, err := r.lease.client().UploadArtifact(ctx, up, file, info.Size())
		if err == nil {
			r.digest(f.name, done.SHA256)
			return done.Size, nil
		}
		if ctx.Err() != nil || !errors.Is(err, fault.Unavailable) {
			return 0, err
		}
		if waited := time.Since(began); waited > r.w.StorePatience {
			return 0, fault.Wrap(fault.Unavailable, err, "%s: the store of artifacts has not answered for %s: %v", f.name, waited.Round(time.Second), err)
		}
		r.slog.Warn("an artifact waits for the server", "artifact", f.name, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// open opens a regular file of the task, without waiting for anything else that has its name.
func (r *run) open(name string) (*os.File, fs.FileInfo, error) {
	file, err := r.dir.Root().OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err == nil && !r.mayRead(info) {
		err = errForeign
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// mayRead says whether the task itself could read a file: the worker can read more, and a hard link may lead to
// any file of the file system.
func (r *run) mayRead(info fs.FileInfo) bool {
	uid, gid, ok := sys.Owner(info)
	if !ok || r.user == nil || r.bare() {
		return true
	}
	return uid == r.user.UID || info.Mode().Perm()&0o004 != 0 ||
		info.Mode().Perm()&0o040 != 0 && (gid == r.user.GID || slices.Contains(r.user.Groups, gid))
}

var (
	errNotRegular = errors.New("is no regular file")
	errForeign    = errors.New("is a file that the task itself may not read")
)

// findArtifacts looks for what was promised.
func (r *run) findArtifacts() (files []found, gone []missing, err error) {
	for _, a := range r.payload.Artifacts {
		// In the docker dialect paths begin at the container's root: here the task's directory.
		place := path.Clean(strings.TrimLeft(a.Path, "/"))
		info, err := r.dir.Root().Stat(place)
		switch {
		case err != nil && a.Optional:
			r.log.Say("Artifact %s is not there; it is optional.", a.Name)
		case err != nil:
			gone = append(gone, explain(a, err))
		case a.Directory != info.IsDir():
			gone = append(gone, missing{a, client.InvalidFile, fmt.Sprintf("%s is of another kind than the payload says (%s).", a.Path, kindName(a.Directory))})
		case a.Directory:
			below, bad := r.walk(a, place)
			files, gone = append(files, below...), append(gone, bad...)
		default:
			files, gone = r.consider(a, place, a.Name, files, gone)
		}
		if len(files) > maxArtifacts {
			return nil, nil, fault.New(fault.Invalid, "the task leaves more than %d files as artifacts: pack them", maxArtifacts)
		}
	}
	return files, gone, nil
}

func kindName(directory bool) string {
	if directory {
		return "directory"
	}
	return "file"
}

func explain(a payload.Artifact, err error) missing {
	if errors.Is(err, fs.ErrNotExist) {
		return missing{a, client.FileMissing, fmt.Sprintf("%s was not there when the commands had ended.", a.Path)}
	}
	return missing{a, client.NotReadable, fmt.Sprintf("%s cannot be read: %v", a.Path, plain(err))}
}

func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// walk lists a directory's regular files, and links to such inside the task's directory.
func (r *run) walk(a payload.Artifact, place string) (files []found, gone []missing) {
	err := fs.WalkDir(r.dir.Root().FS(), place, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() || len(files) > maxArtifacts {
			return nil
		}
		if info, err := r.dir.Root().Stat(name); err != nil || !info.Mode().IsRegular() {
			r.log.Warn("Artifact %s: %s is no regular file and is left out.", a.Name, name)
			return nil
		}
		below := strings.TrimPrefix(strings.TrimPrefix(name, place), "/")
		if place == "." {
			below = name
		}
		files, gone = r.consider(a, name, strings.TrimPrefix(path.Join(a.Name, below), "./"), files, gone)
		return nil
	})
	if err != nil {
		gone = append(gone, explain(a, err))
	}
	return files, gone
}

// consider adds one file unless its name is taken by the logs or cannot be an artifact's.
func (r *run) consider(a payload.Artifact, file, name string, files []found, gone []missing) ([]found, []missing) {
	switch {
	case r.reserved(name):
		r.log.Warn("Artifact %s has a name that the worker gives to the log or a certificate, and is left out.", name)
		return files, gone
	case len(name) == 0 || len(name) > maxNameLength || strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c > 0x7e }):
		r.log.Warn("File %q cannot be an artifact: names are 1 to %d printable ASCII characters.", name, maxNameLength)
		return files, gone
	}
	handle, _, err := r.open(file)
	if err != nil {
		return files, append(gone, explain(payload.Artifact{Name: name, Path: file, Expires: a.Expires}, err))
	}
	_ = handle.Close() // it was only read
	kind := a.ContentType
	if kind == "" {
		kind = contentType(name)
	}
	return append(files, found{file: file, name: name, contentType: kind, expires: r.expires(a.Expires)}), gone
}

// expires is when an artifact goes: with the task at the latest.
func (r *run) expires(wanted *task.Time) task.Time {
	last := r.claim.Task.Expires
	if wanted == nil || wanted.After(last.Time) {
		return last
	}
	return *wanted
}

// contentType goes by a file's name; the types that matter here do not depend on the machine.
func contentType(name string) string {
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".log", ".txt", ".out":
		return "text/plain; charset=utf-8"
	case ".json":
		return "application/json"
	case ".yml", ".yaml":
		return "text/yaml; charset=utf-8"
	case ".gz", ".tgz":
		return "application/gzip"
	case ".zst":
		return "application/zstd"
	case ".tar":
		return "application/x-tar"
	default:
		if kind := mime.TypeByExtension(ext); kind != "" {
			return kind
		}
		return "application/octet-stream"
	}
}
