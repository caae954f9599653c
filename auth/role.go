// Package auth
package auth

import "time"

// Role is a named set of scopes that holders of assume:<ID> get. An ID ending in "*" is a prefix role:
// whoever assumes an id that starts so has it, and "<..>" in its scopes stands for the rest.
type Role struct {
	ID           string
	Scopes       []string // sorted, as given
	Description  string
	Created      time.Time
	LastModified time.Time
}
