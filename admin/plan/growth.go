package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
)

// Growth is what somebody can do after a change and could not before.
type Growth struct {
	resource.Key
	Added []string `json:"added"`
	// Changed is whether the change is of this role or client, and not of another that it leads to.
	Changed bool `json:"changed"`
}

// probe stands for what follows the prefix of a prefix role: no scope and no role has it.
const probe = "\x7e\x7eany\x7e\x7e"

// world is the roles and clients of a state.
type world struct {
	roles   map[string]resource.RoleBody
	clients map[string]resource.ClientBody
	now     string // as in ClientBody.Expires
}

func newWorld(set resource.Set, now time.Time) (*world, error) {
	w := &world{map[string]resource.RoleBody{}, map[string]resource.ClientBody{}, now.UTC().Format(resource.TimeLayout)}
	for _, r := range set {
		if err := w.put(r.Key, r.Body); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// put makes a role or client what a body says; nil removes it.
func (w *world) put(k resource.Key, body json.RawMessage) error {
	var err error
	switch {
	case k.Kind == resource.Role && body == nil:
		delete(w.roles, k.ID)
	case k.Kind == resource.Client && body == nil:
		delete(w.clients, k.ID)
	case k.Kind == resource.Role:
		var b resource.RoleBody
		err = json.Unmarshal(body, &b)
		w.roles[k.ID] = b
	case k.Kind == resource.Client:
		var b resource.ClientBody
		err = json.Unmarshal(body, &b)
		w.clients[k.ID] = b
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	return nil
}

func (w *world) clone() *world {
	return &world{maps.Clone(w.roles), maps.Clone(w.clients), w.now}
}

func (w *world) resolver() *expand.Resolver {
	list := make([]expand.Role, 0, len(w.roles))
	for id, r := range w.roles {
		list = append(list, expand.Role{ID: id, Scopes: r.Scopes})
	}
	return expand.New(list)
}

// idle reports whether a client can do nothing: it is not there, disabled or expired.
func (w *world) idle(id string) bool {
	c, there := w.clients[id]
	return !there || c.Disabled || c.Expires <= w.now
}

// assumed is the scope by which a role is asked what it gives.
func assumed(id string) string {
	if prefix, star := strings.CutSuffix(id, "*"); star {
		return expand.Assume + prefix + probe
	}
	return expand.Assume + id
}

// powers are what everybody can do in a state: roles by their ids, clients by theirs.
type powers struct {
	world    *world
	resolver *expand.Resolver
	memo     map[resource.Key]scope.Set
}

func (w *world) powers() *powers {
	return &powers{w, w.resolver(), map[resource.Key]scope.Set{}}
}

func (p *powers) list(k resource.Key) ([]string, error) {
	if k.Kind == resource.Role {
		list, err := p.resolver.Expand([]string{assumed(k.ID)})
		return slices.DeleteFunc(list, func(s string) bool { return s == assumed(k.ID) }), err
	}
	if p.world.idle(k.ID) {
		return nil, nil
	}
	return p.resolver.Expand(p.world.clients[k.ID].Scopes)
}

// set is list, and the scope itself by which a role is assumed: whoever has that role has it.
func (p *powers) set(k resource.Key) (scope.Set, error) {
	if s, ok := p.memo[k]; ok {
		return s, nil
	}
	list, err := p.list(k)
	if err != nil {
		return scope.Set{}, fmt.Errorf("%s: %w", k, err)
	}
	if k.Kind == resource.Role {
		list = append(list, assumed(k.ID))
	}
	s := scope.NewSet(list)
	p.memo[k] = s
	return s, nil
}

// principals are all roles and clients of some states.
func principals(worlds ...*world) []resource.Key {
	var list []resource.Key
	for _, w := range worlds {
		for id := range w.roles {
			list = append(list, resource.Key{Kind: resource.Role, ID: id})
		}
		for id := range w.clients {
			list = append(list, resource.Key{Kind: resource.Client, ID: id})
		}
	}
	slices.SortFunc(list, resource.Compare)
	return slices.Compact(list)
}

// grow works out the states before and after, and what grows between them.
func (p *Plan) grow(have resource.Set, now time.Time) error {
	before, err := newWorld(have, now)
	if err != nil {
		return err
	}
	after := before.clone()
	changed := map[resource.Key]bool{}
	for _, c := range p.Changes {
		if err := after.put(c.Key, c.After); err != nil {
			return err
		}
		changed[c.Key] = true
	}
	p.before, p.after = before, after
	if len(changed) == 0 {
		return nil
	}
	p.Growth, err = growth(before, after, changed)
	return err
}

func growth(before, after *world, changed map[resource.Key]bool) ([]Growth, error) {
	was, is := before.powers(), after.powers()
	out := []Growth{}
	for _, k := range principals(before, after) {
		could, err := was.set(k)
		if err != nil {
			return nil, err
		}
		can, err := is.list(k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if added := slices.DeleteFunc(can, could.Has); len(added) > 0 {
			for i, s := range added {
				added[i] = strings.ReplaceAll(s, probe, expand.Parameter)
			}
			out = append(out, Growth{k, added, changed[k]})
		}
	}
	return out, nil
}
