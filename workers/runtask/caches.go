package runtask

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	requirementsFile = ".cacherequires" // what a cache was made for
	cacheLog         = ".cachelog"      // who used it
)

// requirements are what a cache must have been made for.
func requirements(as *user) []string {
	uid, gid := os.Getuid(), os.Getgid()
	if as != nil {
		uid, gid = as.uid, as.gid
	}
	list := []string{"version=1", fmt.Sprintf("uid=%d", uid), fmt.Sprintf("gid=%d", gid)}
	slices.Sort(list)
	return list
}

// checkCaches looks at the directories that the worker keeps between tasks before anything is put there, and
// at the volumes, which must be empty.
func (r *runner) checkCaches(p *plan, as *user) error {
	for _, dir := range p.caches {
		if err := r.checkCache(p, dir, as); err != nil {
			return failed(ExitPurgeCache, "cache", fmt.Errorf("cache %s: %w", dir, err))
		}
	}
	for _, dir := range p.volumes {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("is not empty (it has %s): the image must leave its volumes empty", entries[0].Name())
		}
		if err == nil {
			err = as.own(dir)
		}
		if err != nil {
			return failed(ExitDirectory, "volume", fmt.Errorf("volume %s: %w", dir, err))
		}
		r.say("volume", "%s is empty", dir)
	}
	return nil
}

func (r *runner) checkCache(p *plan, dir string, as *user) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("is no directory that can be read; is it among the payload's caches? %w", err)
	}
	want := requirements(as)
	content, err := os.ReadFile(filepath.Join(dir, requirementsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(entries) == 0:
		r.say("cache", "%s is new; it is kept for %s", dir, strings.Join(want, ", "))
		if err := r.label(dir, want); err != nil {
			return err
		}
		return as.own(dir)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("has content but no %s: something else than run-task filled it", requirementsFile)
	case err != nil:
		return err
	}
	have := strings.Fields(string(content))
	slices.Sort(have)
	if slices.Equal(have, want) {
		r.say("cache", "%s exists and is fit for use", dir)
		return r.logUse(dir, "used")
	}
	if p.untrusted && sameBut(have, want, "uid=", "gid=") {
		r.say("cache", "%s was made for %s and is given to %s", dir, strings.Join(have, ", "), strings.Join(want, ", "))
		if err := as.ownAll(dir); err != nil {
			return err
		}
		return r.label(dir, want)
	}
	return fmt.Errorf("was made for %s, this task needs %s", strings.Join(have, ", "), strings.Join(want, ", "))
}

// sameBut compares requirements without those that begin with one of the prefixes.
func sameBut(a, b []string, prefixes ...string) bool {
	rest := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
		})
	}
	return slices.Equal(rest(a), rest(b))
}

func (r *runner) label(dir string, want []string) error {
	if err := os.WriteFile(filepath.Join(dir, requirementsFile), []byte(strings.Join(want, "\n")), 0o600); err != nil {
		return err
	}
	return r.logUse(dir, "created; requirements: "+strings.Join(want, ", "))
}

func (r *runner) logUse(dir, what string) error {
	f, err := os.OpenFile(filepath.Join(dir, cacheLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "[%s %s] %s\n", r.now().UTC().Format(time.RFC3339), r.env["TASK_ID"], what)
	return errors.Join(err, f.Close())
}

// makeDirectories makes the directories that checkouts and Mercurial's store lie in, for the task's user.
func (r *runner) makeDirectories(p *plan, as *user) error {
	var dirs []string
	hg := false
	for _, c := range p.checkouts {
		dirs = append(dirs, filepath.Dir(c.dir))
		hg = hg || c.kind == "hg"
	}
	if store := p.env["HG_STORE_PATH"]; store != "" && hg {
		dirs = append(dirs, store)
	}
	for _, dir := range dirs {
		if err := as.makeAll(dir); err != nil {
			return err
		}
	}
	for _, c := range p.checkouts {
		if _, err := os.Stat(c.dir); err == nil {
			if err := as.own(c.dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// openKVM lets every user of a container use virtual machines, where there are any.
func (r *runner) openKVM() error {
	if os.Getuid() != 0 {
		return nil
	}
	if err := os.Chmod("/dev/kvm", 0o666); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
