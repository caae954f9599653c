package small

import (
	"context"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// Authenticator knows callers by the page on which they try a method; it is for Pages.Try alone, and lets nobody in from
// outside.
type Authenticator struct{}

// Authenticate implements web.Authenticator.
func (Authenticator) Authenticate(ctx context.Context, _ web.AuthRequest) (web.AuthResult, error) {
	c, ok := Caller(ctx)
	if !ok {
		return web.AuthResult{}, fault.New(fault.Unauthenticated, "This way into the API is for the pages of the documentation.")
	}
	return web.AuthResult{Caller: c}, nil
}
