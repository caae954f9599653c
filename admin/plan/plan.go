// Package plan compares what is to be with what is, says which scopes grow by it, and in which order the
// changes are made so that at no moment anybody can do what neither state allows.
//
// # Growth
//
// What everybody can do is worked out before and after with package auth/scope/expand, over all roles
// and clients of the server, not only those that are managed: a scope that a role gets by way of
// another counts, and one that it held in another form does not. Prefix roles are asked with a
// parameter that nothing else knows, so that what only some of those who assume them hold is no excuse.
//
// # Order
//
// Where nothing grows, all roles and clients first get what they are to have besides what they have, and
// then lose what they are not to have: at each moment everybody can do what the new state says, and
// nothing that the old one did not allow. Where something grows, they first lose what the new state does
// not allow them, and then get the rest: at each moment everybody's scopes are within the old state, or
// within the new one. Hooks and pools change between the two steps; hooks are removed before their roles
// and made after them. steps_test.go holds this against random roles.
package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/admin/resource"
)

// Action is what is done to a resource.
type Action string

// The actions.
const (
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Missing Action = "missing" // a secret that is to be there: a person must set it
)

// Change is a difference between what is and what is to be.
type Change struct {
	resource.Key
	Action Action          `json:"action"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	At     string          `json:"at,omitempty"` // where the directory says so
}

// Plan is what leads from one state to another.
type Plan struct {
	Changes []Change `json:"changes"` // by kind and id
	Growth  []Growth `json:"growth"`
	// Digest stands for the changes as a whole, from what to what.
	Digest string `json:"digest"`

	before, after *world
}

// Make compares. want is what is to be, have what a server has: of roles and clients all, of other kinds
// what is managed. Only resources that managed names are changed. now tells which clients have expired. keep, unless nil, chooses among the
// changes.
func Make(want, have resource.Set, managed resource.Patterns, now time.Time, keep func(Change) (bool, error)) (*Plan, error) {
	p := &Plan{Changes: []Change{}, Growth: []Growth{}}
	for _, r := range want.Sorted() {
		old, there := have[r.Key]
		c := Change{Key: r.Key, Action: Update, Before: old.Body, After: r.Body, At: r.At}
		switch {
		case there && bytes.Equal(old.Body, r.Body):
			continue
		case !there && r.Kind == resource.Secret:
			c.Action = Missing
		case !there:
			c.Action = Create
		}
		p.Changes = append(p.Changes, c)
	}
	for _, r := range have.Sorted() {
		if _, wanted := want[r.Key]; !wanted && managed.Match(r.Key) {
			p.Changes = append(p.Changes, Change{Key: r.Key, Action: Delete, Before: r.Body})
		}
	}
	slices.SortFunc(p.Changes, func(a, b Change) int { return resource.Compare(a.Key, b.Key) })
	if err := p.choose(keep); err != nil {
		return nil, err
	}
	p.Digest = p.digest()
	return p, p.grow(have, now)
}

func (p *Plan) choose(keep func(Change) (bool, error)) error {
	if keep == nil {
		return nil
	}
	chosen := []Change{}
	for _, c := range p.Changes {
		ok, err := keep(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Key, err)
		}
		if ok {
			chosen = append(chosen, c)
		}
	}
	p.Changes = chosen
	return nil
}

// Empty reports whether nothing differs.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

func (p *Plan) digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, c := range p.Changes {
		c.At = "" // where it stands does not matter
		// A hash takes everything, and these members can all be written.
		if err := enc.Encode(c); err != nil {
			return ""
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
