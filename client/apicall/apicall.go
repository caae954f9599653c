// Package apicall calls methods of an API as the server itself describes them, so that every service
// of any server can be used: it reads references and schemas, checks arguments, gathers pages, and
// says in words how a method is called.
package apicall

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// referenceAge is how long a description of a service is believed.
const referenceAge = time.Hour

// Caller calls methods of one server.
type Caller struct {
	Client *client.Client
	// Cache is a directory for the descriptions of services; "" keeps none.
	Cache string
	// Refresh asks the server for its descriptions even if they are known.
	Refresh bool
}

// DefaultCache is the user's cache directory for descriptions, "" when there is none.
func DefaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "treeline", "references")
}

// Services returns the names of the services that the server describes.
func (c *Caller) Services(ctx context.Context) ([]string, error) {
	return cached(c, "services", func() ([]string, error) { return c.Client.Services(ctx) })
}

// Reference returns the description of a service: from the cache while that is fresh.
func (c *Caller) Reference(ctx context.Context, service string) (client.Reference, error) {
	r, err := cached(c, "reference "+service, func() (client.Reference, error) { return c.Client.Reference(ctx, service) })
	switch {
	case errors.Is(err, fault.NotFound):
		return r, fault.New(fault.NotFound, "the server has no service %q: \"treeline api\" lists them", service)
	case err != nil:
		return r, fmt.Errorf("description of service %q: %w", service, err)
	}
	return r, nil
}

// Endpoint returns the description of a method, and of its service.
func (c *Caller) Endpoint(ctx context.Context, service, method string) (client.Reference, client.Endpoint, error) {
	r, err := c.Reference(ctx, service)
	if err != nil {
		return r, client.Endpoint{}, err
	}
	e, err := r.Endpoint(method)
	if err != nil {
		return r, e, fmt.Errorf("%w: \"treeline api %s\" lists them", err, service)
	}
	return r, e, nil
}

// cached returns what is known for an hour, or asks and keeps the answer.
func cached[T any](c *Caller, what string, ask func() (T, error)) (T, error) {
	file := ""
	if c.Cache != "" {
		sum := sha256.Sum256([]byte(c.Client.RootURL() + "\n" + what))
		file = filepath.Join(c.Cache, hex.EncodeToString(sum[:12])+".json")
	}
	var known T
	if info, err := os.Stat(file); err == nil && !c.Refresh && time.Since(info.ModTime()) < referenceAge {
		if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &known) == nil {
			return known, nil
		}
	}
	fresh, err := ask()
	if err != nil {
		return fresh, err
	}
	if data, err := json.Marshal(fresh); err == nil && file != "" && os.MkdirAll(c.Cache, 0o700) == nil {
		_ = os.WriteFile(file, data, 0o600) // a cache that cannot be written only costs time
	}
	return fresh, nil
}

// Call is one call of a method.
type Call struct {
	Service, Method string
	Args            []string
	Query           url.Values
	Body            []byte // JSON; nil sends {} to a method that takes a body
	AllPages        bool   // follow continuation tokens and join the pages
}

// Do makes a call, checked against the description of its method, and returns the answer as it came.
func (c *Caller) Do(ctx context.Context, call Call) ([]byte, error) {
	reference, e, err := c.Endpoint(ctx, call.Service, call.Method)
	if err != nil {
		return nil, err
	}
	path, err := e.Path(call.Args)
	if err != nil {
		return nil, fmt.Errorf("%w\n  usage: %s", err, Usage(reference, e))
	}
	if err := e.CheckQuery(call.Query); err != nil {
		return nil, err
	}
	switch {
	case call.Body != nil && e.Input == "":
		return nil, fault.New(fault.BadArguments, "%s takes no body", e.Name)
	case call.Body == nil && e.Input != "" && e.Input != blob:
		call.Body = []byte("{}")
	}
	if call.AllPages {
		return c.pages(ctx, e, call, path)
	}
	return c.once(ctx, e, call, path)
}

const blob = "blob" // bytes instead of JSON

func (c *Caller) once(ctx context.Context, e client.Endpoint, call Call, path string) ([]byte, error) {
	reply, err := c.Client.CallRaw(ctx, strings.ToUpper(e.Method), c.Client.URL(call.Service, path, call.Query), call.Body)
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}
