package hg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Changeset is what a server tells of a changeset, and of the push that brought it.
type Changeset struct {
	Node          string
	Author, Email string
	Message       string
	Time          time.Time // of the push where it is known, else of the changeset
	Base          string    // what the push builds on: the first parent of its first changeset, "" for none
	Files         []string  // that it changes, and where the push is known those that the push changes
	PushID        int64     // in the server's pushlog; 0 without one
}

const nullNode = "0000000000000000000000000000000000000000"

// Describe tells of a changeset. A server with a pushlog tells of its push, too.
func (r *Repo) Describe(ctx context.Context, revision string) (Changeset, error) {
	if err := checkNode(revision); err != nil {
		return Changeset{}, err
	}
	c, err := r.changeset(ctx, revision)
	if err != nil {
		return c, fmt.Errorf("hg: describe %s: %w", revision, err)
	}
	if err := r.pushOf(ctx, &c); err != nil {
		return c, fmt.Errorf("hg: push of %s: %w", revision, err)
	}
	return c, nil
}

// changeset reads the page of a changeset as far as its files: what follows is the difference, which may
// be large.
func (r *Repo) changeset(ctx context.Context, revision string) (Changeset, error) {
	c := Changeset{Node: revision}
	body, err := r.get(ctx, "/json-rev/"+revision)
	if err != nil {
		return c, err
	}
	defer body.Close()
	var user string
	var date []float64
	var parents []string
	var files []struct{ File string }
	wanted := map[string]any{"user": &user, "date": &date, "desc": &c.Message, "parents": &parents, "files": &files}
	if err := members(json.NewDecoder(io.LimitReader(body, maxDocument)), wanted); err != nil {
		return c, fault.Wrap(fault.Unavailable, err, "%s does not answer as a Mercurial server does", r.url)
	}
	c.Author, c.Email = person(user)
	if len(date) > 0 {
		c.Time = time.Unix(int64(date[0]), 0).UTC()
	}
	if len(parents) > 0 && parents[0] != nullNode {
		c.Base = parents[0]
	}
	for _, f := range files {
		c.Files = append(c.Files, f.File)
	}
	return c, nil
}

// members decodes those members of an object that are wanted, and stops after the last.
func members(d *json.Decoder, wanted map[string]any) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("expected an object"))
	}
	wanted = maps.Clone(wanted)
	for d.More() && len(wanted) > 0 {
		name, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := name.(string) // so it is within an object
		into, ok := wanted[key]
		if !ok {
			into = new(json.RawMessage)
		}
		if err := d.Decode(into); err != nil {
			return err
		}
		delete(wanted, key)
	}
	return nil
}

// Person takes the name of a user apart, as changesets and pushlogs have it. The address of one who gave
// none is "".
func Person(user string) (name, address string) { return person(user) }

// person takes a name and an address apart.
func person(user string) (name, address string) {
	if a, err := mail.ParseAddress(user); err == nil {
		if a.Name == "" {
			a.Name, _, _ = strings.Cut(a.Address, "@")
		}
		return a.Name, a.Address
	}
	name, rest, found := strings.Cut(user, "<")
	if !found {
		return strings.TrimSpace(user), ""
	}
	return strings.TrimSpace(name), strings.TrimSuffix(strings.TrimSpace(rest), ">")
}

// pushOf adds what a pushlog knows.
func (r *Repo) pushOf(ctx context.Context, c *Changeset) error {
	if r.noPushlog.Load() {
		return nil
	}
	var log struct {
		Pushes map[string]struct {
			Date       float64
			User       string
			Changesets []struct {
				Node           string
				Parents, Files []string
			}
		}
	}
	err := r.json(ctx, "/json-pushes?version=2&full=1&changeset="+c.Node, &log)
	if missing(err) { // hg serve keeps none
		r.noPushlog.Store(true)
		return nil
	}
	if err != nil {
		return err
	}
	for id, p := range log.Pushes {
		if c.PushID, err = strconv.ParseInt(id, 10, 64); err != nil {
			return fault.New(fault.Unavailable, "the pushlog of %s has a push %q", r.url, id)
		}
		c.Time = time.Unix(int64(p.Date), 0).UTC()
		files := map[string]bool{}
		for i, cs := range p.Changesets {
			if i == 0 && len(cs.Parents) > 0 {
				c.Base = strings.Replace(cs.Parents[0], nullNode, "", 1)
			}
			for _, f := range cs.Files {
				files[f] = true
			}
		}
		c.Files = slices.Sorted(maps.Keys(files))
	}
	return nil
}
