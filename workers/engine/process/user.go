package process

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/workers/engine"
)

// User is whom a command runs as.
type User = engine.User

// LookupUser finds a user by name, or takes "uid:gid" as it is. Only root can run commands as
// somebody else.
func LookupUser(name string) (*User, error) {
	if uid, gid, ok := strings.Cut(name, ":"); ok {
		u, err1 := strconv.ParseUint(uid, 10, 32)
		g, err2 := strconv.ParseUint(gid, 10, 32)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("process: user %q: write a user's name or numbers as uid:gid", name)
		}
		return checked(&User{Name: uid, UID: uint32(u), GID: uint32(g)})
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("process: user %q does not exist: create it (useradd --system %s) or name another one", name, name)
	}
	u, err := fromOS(found)
	if err != nil {
		return nil, err
	}
	return checked(u)
}

func fromOS(found *user.User) (*User, error) {
	uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("process: user %s has no numeric id", found.Username)
	}
	u := &User{Name: found.Username, UID: uint32(uid), GID: uint32(gid)}
	ids, err := found.GroupIds()
	if err != nil {
		return u, nil // the primary group is enough to run
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}

func checked(u *User) (*User, error) {
	if os.Geteuid() != 0 && int(u.UID) != os.Geteuid() {
		return nil, fmt.Errorf("process: only root can run commands as user %s", u.Name)
	}
	return u, nil
}

// Numbered is the user with a number, alone with its task. One that the machine knows keeps its name.
func Numbered(uid uint32) *User {
	u := &User{Name: fmt.Sprintf("task-%d", uid), UID: uid, GID: uid, Alone: true}
	if found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		if known, err := fromOS(found); err == nil {
			known.Alone = true
			return known
		}
	}
	return u
}
