package trycmd

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// lookInterval is between two questions whether the server has seen a push.
const lookInterval = 500 * time.Millisecond

// seen waits until the server knows the push, and gives the address of its page; "" and the reason when
// that is not to be known.
func (a *attempt) seen(ctx context.Context, revision string) (address, why string) {
	c, err := client.FromEnv(nil)
	if err != nil {
		return "", "where the push is seen is not known: no server is configured (treeline signin URL, or TASKCLUSTER_ROOT_URL)"
	}
	search := c.RootURL() + "/search?q=" + revision // leads to the push, also in the browser of who has to sign in
	if a.wait <= 0 {
		return search, ""
	}
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	c = c.WithPatience(a.wait)
	for {
		path, err := pageOf(ctx, c, revision)
		switch {
		case path != "":
			return c.RootURL() + path, ""
		case errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.Forbidden):
			return search, ""
		case err != nil && ctx.Err() == nil:
			return "", "the server at " + c.RootURL() + " does not say where the push is seen: " + err.Error()
		}
		select {
		case <-ctx.Done():
			return "", "the server at " + c.RootURL() + " has not seen the push within " + a.wait.String() + "; once it has, " + search + " leads to it"
		case <-time.After(lookInterval):
		}
	}
}

// pageOf asks the server's search for a push: it leads to the page of the push once that is known.
func pageOf(ctx context.Context, c *client.Client, revision string) (string, error) {
	reply, err := c.CallRaw(ctx, http.MethodGet, c.RootURL()+"/search?q="+revision, nil)
	if err != nil {
		return "", err
	}
	to, err := url.Parse(reply.Header.Get("Location"))
	if err == nil && to.Path == "/login" {
		return "", fault.New(fault.Unauthenticated, "sign in to see pushes")
	}
	if err != nil || to.Path != "/jobs" || to.Query().Get("revision") != revision {
		return "", nil //nolint:nilerr // it leads elsewhere: the push is not known yet
	}
	return strings.TrimPrefix(to.RequestURI(), c.RootURL()), nil
}
