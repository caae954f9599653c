package runtask

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
)

// usualUser is whom tasks run as unless they say otherwise; images have it with usualID as user and group.
const (
	usualUser = "worker"
	usualID   = 1000
)

// user is whom run-task becomes. Methods of nil do nothing: run-task stays who it is.
type user struct {
	name     string
	uid, gid int
	groups   []int
	home     string
}

// chooseUser says whom to become: nobody else (nil) unless run-task is root.
func chooseUser(p *plan) (*user, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	if !p.named && !inContainer() {
		return nil, nil // a machine's worker has chosen who we are, and the directory is ours
	}
	u, err := lookUp(p.user, p.group)
	if err != nil {
		if p.named {
			return nil, fmt.Errorf("%w; name one with --user and --group", err)
		}
		return nil, nil // an image without the usual user
	}
	if u.name == usualUser && (u.uid != usualID || u.gid != usualID) {
		if p.named {
			return nil, fmt.Errorf("user %s must have the numbers %d:%d, not %d:%d, as caches belong to them", usualUser, usualID, usualID, u.uid, u.gid)
		}
		return nil, nil
	}
	if u.uid == 0 {
		return nil, nil
	}
	return u, nil
}

// inContainer tells whether Docker or Podman started us.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

func lookUp(name, group string) (*user, error) {
	found, err := osuser.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %s", name)
	}
	primary := found.Gid
	if group != "" {
		g, err := osuser.LookupGroup(group)
		if err != nil {
			return nil, fmt.Errorf("there is no group %s", group)
		}
		primary = g.Gid
	}
	uid, err1 := strconv.Atoi(found.Uid)
	gid, err2 := strconv.Atoi(primary)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("user %s has no numbers", name)
	}
	u := &user{name: name, uid: uid, gid: gid, home: found.HomeDir, groups: []int{gid}}
	ids, err := found.GroupIds()
	if err != nil {
		return u, nil // the one group is enough to run
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != gid {
			u.groups = append(u.groups, n)
		}
	}
	return u, nil
}

// become gives up the rights of root for those of the user, in all threads and for good.
func (r *runner) become(u *user) error {
	if u == nil {
		return nil
	}
	if err := giveUp(u); err != nil {
		return err
	}
	if home := r.env["HOME"]; home == "" || home == "/" || home == "/root" {
		r.env["HOME"] = u.home
	}
	r.env["USER"], r.env["LOGNAME"] = u.name, u.name
	r.say("setup", "Running as user %s (%d:%d)", u.name, u.uid, u.gid)
	return nil
}

func (u *user) own(path string) error {
	if u == nil {
		return nil
	}
	return os.Lchown(path, u.uid, u.gid)
}

func (u *user) ownAll(dir string) error {
	if u == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, u.own(name))
	})
}

// makeAll makes a directory and those it lies in; new ones are the user's, and it itself in any case.
func (u *user) makeAll(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if parent := filepath.Dir(dir); parent != dir {
			if _, err := os.Stat(parent); err != nil {
				if err := u.makeAll(parent); err != nil {
					return err
				}
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return u.own(dir)
}
