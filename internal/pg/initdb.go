package pg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
)

// superuser is the role that owns a private cluster.
const superuser = "treeline"

// socketLimit is the longest path of a socket directory that leaves room for the socket's name in
// the 108 bytes (104 on some systems) that the kernel allows.
const socketLimit = 80

// listMarks mean something in the lists of directories and hosts that the server and its clients read.
const listMarks = ",\"'\\"

// owner is the unprivileged user that runs the server when Treeline runs as root: PostgreSQL
// refuses to run as root. A nil owner means this process's own user.
type owner struct {
	name     string
	uid, gid uint32
}

// findOwner picks who runs the server: the owner of existing files, else the user postgres, else
// nobody.
func findOwner(data string) (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if info, err := os.Stat(data); err == nil {
		if uid, gid, ok := sys.Owner(info); ok && uid != 0 {
			return &owner{name: strconv.Itoa(int(uid)), uid: uid, gid: gid}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &owner{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, fault.New(fault.Unavailable, "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
}

// session is how a process of the owner is started.
func (o *owner) session() *syscall.SysProcAttr {
	if o == nil {
		return sys.Session()
	}
	return sys.SessionOf(o.uid, o.gid)
}

// give hands a file or directory to the owner.
func (o *owner) give(path string) error {
	if o == nil {
		return nil
	}
	return os.Lchown(path, int(o.uid), int(o.gid))
}

// reaches reports whether the owner may pass all directories above path.
func (o *owner) reaches(path string) bool {
	if o == nil {
		return true
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		uid, gid, ok := sys.Owner(info)
		if !ok {
			return false
		}
		bit := fs.FileMode(0o001)
		switch {
		case uid == o.uid:
			bit = 0o100
		case gid == o.gid:
			bit = 0o010
		}
		if info.Mode().Perm()&bit == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// dataVersion returns the major version that made a data directory, 0 when there is none.
func dataVersion(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			return 0, fault.New(fault.Invalid, "%s is not empty and not a PostgreSQL data directory; move it away", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fault.Wrap(fault.Invalid, err, "%s/PG_VERSION cannot be read", data)
	}
	return major, nil
}

// initialize makes the data directory. It is made beside its place and renamed when it is whole, so
// that a kill in between leaves nothing that looks like a cluster.
func (c *Cluster) initialize(ctx context.Context) error {
	fresh := c.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := c.owner.give(fresh); err != nil {
		return err
	}
	cmd, closer, err := c.command(ctx, "initdb", fresh,
		"--username="+superuser, "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions")
	if err != nil {
		return err
	}
	defer closer()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "initdb failed: %s", strings.TrimSpace(out.String()))
	}
	if err := os.Remove(c.data()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, c.data())
}

// socketDir returns the private directory of the server's socket: in the cluster's directory where
// the path is short and plain and the server can reach it, else one under the system's temporary
// directory, and where even that is deep, as inside a CI task, under /tmp.
func (c *Cluster) socketDir() (string, error) {
	dir := filepath.Join(c.dir, "socket")
	if len(dir) > socketLimit || strings.ContainsAny(dir, listMarks) || !c.owner.reaches(dir) {
		sum := sha256.Sum256([]byte(c.dir))
		name := fmt.Sprintf("treeline-%d-%x", os.Geteuid(), sum[:6])
		if dir = filepath.Join(os.TempDir(), name); len(dir) > socketLimit || strings.ContainsAny(dir, listMarks) {
			dir = filepath.Join("/tmp", name)
		}
	}
	if len(dir) > socketLimit {
		return "", fault.New(fault.Invalid, "the path of the socket directory %s is too long; set TMPDIR to a short path", dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	// Somebody else could have made it first; then it protects nothing.
	uid, _, ok := sys.Owner(info)
	mine := ok && (uid == uint32(os.Geteuid()) || (c.owner != nil && uid == c.owner.uid))
	if !info.IsDir() || !mine {
		return "", fault.New(fault.Invalid, "%s is not a directory of this user; remove it", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", err
	}
	return dir, c.owner.give(dir)
}
