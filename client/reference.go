package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Reference describes a service's API as the server publishes it (taskcluster-map 21.1).
type Reference struct {
	ServiceName string     `json:"serviceName"`
	APIVersion  string     `json:"apiVersion"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Entries     []Endpoint `json:"entries"`
}

// Endpoint is one method of a service.
type Endpoint struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Method      string          `json:"method"`
	Route       string          `json:"route"` // such as /task/<taskId>
	Args        []string        `json:"args"`
	Query       []string        `json:"query"`
	Scopes      json.RawMessage `json:"scopes"`
	Input       string          `json:"input"`
	Output      string          `json:"output"`
	Stability   string          `json:"stability"`
	Category    string          `json:"category"`
}

// Services returns the names of the services that the server describes.
func (c *Client) Services(ctx context.Context) ([]string, error) {
	reply, err := c.CallRaw(ctx, http.MethodGet, c.RootURL()+"/references/manifest.json", nil)
	if err != nil {
		return nil, err
	}
	var manifest struct {
		References []string `json:"references"`
	}
	if err := json.Unmarshal(reply.Body, &manifest); err != nil {
		return nil, fmt.Errorf("client: the server's manifest cannot be read: %w", err)
	}
	names := map[string]bool{}
	for _, address := range manifest.References {
		// .../references/<service>/<version>/api.json
		parts := strings.Split(strings.TrimSuffix(address, "/"), "/")
		if n := len(parts); n >= 3 && parts[n-1] == "api.json" {
			names[parts[n-3]] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// Reference asks the server for the description of a service.
func (c *Client) Reference(ctx context.Context, service string) (Reference, error) {
	var out Reference
	reply, err := c.CallRaw(ctx, http.MethodGet, c.RootURL()+"/references"+Path(service, "v1", "api.json"), nil)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(reply.Body, &out); err != nil {
		return out, fmt.Errorf("client: the description of service %s cannot be read: %w", service, err)
	}
	return out, nil
}

// Endpoint finds a method by its name.
func (r Reference) Endpoint(name string) (Endpoint, error) {
	for _, e := range r.Entries {
		if e.Name == name {
			return e, nil
		}
	}
	return Endpoint{}, fault.New(fault.NotFound, "service %s has no method %s", r.ServiceName, name)
}

// Path fills the arguments into the route, each one escaped.
func (e Endpoint) Path(args []string) (string, error) {
	if len(args) != len(e.Args) {
		return "", fault.New(fault.BadArguments, "%s takes %d arguments (%s), not %d", e.Name, len(e.Args), strings.Join(e.Args, ", "), len(args))
	}
	path := e.Route
	for i, name := range e.Args {
		path = strings.Replace(path, "<"+name+">", url.PathEscape(args[i]), 1)
	}
	return path, nil
}

// CheckQuery returns an error for a query key that the method does not know.
func (e Endpoint) CheckQuery(query url.Values) error {
	for key := range query {
		if !slices.Contains(e.Query, key) {
			known := "it takes none"
			if len(e.Query) > 0 {
				known = "only: " + strings.Join(e.Query, ", ")
			}
			return fault.New(fault.BadArguments, "%s knows no query key %q, %s", e.Name, key, known)
		}
	}
	return nil
}

// Locate returns the URL that holds an artifact's bytes, for a short time; for a live log it is
// the growing content itself, to be read with Follow.
func (c *Client) Locate(ctx context.Context, taskID string, runID int, name string) (string, error) {
	address, _, err := c.locate(ctx, Download{TaskID: taskID, RunID: runID, Name: name})
	return address, err
}
