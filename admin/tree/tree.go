// Package tree reads a directory of YAML that says what a deployment is to be, and makes of it the
// resources of package resource. docs/reference/admin-directory.md describes the language.
//
// Everything that is wrong is told at once, each with file, line, key and remedy; a Tree is made only
// when nothing is. Reading is bounded: so many files, so many bytes. It needs no server.
package tree

import (
	"github.com/expr-lang/expr/vm"

	"github.com/treeline-ci/treeline/admin/resource"
)

// Tree is what a directory says.
type Tree struct {
	Managed      resource.Patterns
	Banner       string // begins the descriptions of roles and clients
	Repositories []Repository
	Grants       []Grant
	Roles        []Role
	Clients      []Client
	Hooks        []Hook
	Pools        []Pool
	Secrets      []Secret
	Denylist     []Denied
	Checks       []Check
}

// Place is where something stands.
type Place struct {
	File string // relative to the directory
	Line int
}

// Repository is a project: an entry of the server's file of repositories (docs/reference/repositories.md),
// and what grants ask about it.
type Repository struct {
	Place
	Name         string
	Kind         string // "hg", or "" for one that the server knows otherwise
	Path         string // how roles name it, such as github.com/acme/app
	Level        int    // trust of pushes, 1 to 3
	TrustDomain  string
	Tags         []string
	TryBranches  []string
	entry        map[string]any // for the server's file
	serversRoles bool           // the server itself makes its roles
}

// Grant gives scopes to roles, for a reason.
type Grant struct {
	Place
	Scopes []string
	Reason string
	To     []Target
}

// Target is who gets a grant: a role, or a job of the repositories that all conditions choose.
type Target struct {
	Place
	Role     string   // then nothing else is set
	Projects []string // patterns of names
	Levels   []int    // any when empty
	Tags     []string // all of them
	If       *vm.Program
	Job      string // what follows repo:<path>: in the role's id
}

// Role is a role by itself.
type Role struct {
	Place
	ID, Description string
	Scopes          []string
}

// Client is a client. Its access token is no part of it.
type Client struct {
	Place
	ID, Description              string
	Scopes                       []string
	Level                        int // of trust, for checks; 0 when it is not said
	Expires                      string
	Disabled, DeleteOnExpiration bool
}

// Hook is a hook, with the scopes of its role.
type Hook struct {
	Place
	ID     string
	Body   map[string]any
	Scopes []string // nil: the hook's role stands elsewhere
}

// Pool is a worker pool.
type Pool struct {
	Place
	ID   string
	Body map[string]any
}

// Secret says that there is to be a secret, not which.
type Secret struct {
	Place
	Name, Description string
}

// Denied is an address that gets no notifications.
type Denied struct {
	Place
	Type, Address, Reason string
}

// Check is something that must hold for what the directory makes.
type Check struct {
	Place
	Name, Reason string
	Of           string   // the things: roles, clients and so on; "" for a condition about all
	Every        bool     // each of the things must satisfy Holds; otherwise none may be found
	Where        string   // expr about a thing; "" is all
	Holds        string   // expr about a thing
	Reaches      []string // scopes of which a thing must have none, not even a part
	Has          []string // scopes that a thing must not hold
	Expr         string   // the condition about all
}
