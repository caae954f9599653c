package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	referenceAge = time.Hour // how long a description of a service is believed
	maxBody      = 10 << 20
)

func newAPICommand() *cobra.Command {
	r := &remote{}
	call := apiCall{remote: r}
	cmd := &cobra.Command{
		Use:   "api [SERVICE [METHOD [ARGUMENT...]]]",
		Short: "Call any method of any service",
		Long: `Calls a method of the API as the server itself describes it, so that every service of any server
can be used, also of a Taskcluster. Without METHOD the service's methods are listed, without
SERVICE the services. The answer is printed as it comes, JSON indented.

Descriptions are kept for an hour in the user's cache directory; --refresh asks anew.` + exitCodesHelp,
		Example: `  treeline api
  treeline api queue
  treeline api queue status fN1SbArXTPSVFNUvaOlinQ
  treeline api queue listTaskGroup fN1SbArXTPSVFNUvaOlinQ --query limit=10
  treeline api auth expandScopes --body - <<< '{"scopes": ["assume:anonymous"]}'`,
		RunE: r.does(call.run),
	}
	f := cmd.Flags()
	f.StringArrayVar(&call.query, "query", nil, "query parameter key=value (repeatable)")
	f.StringVarP(&call.body, "body", "b", "", "JSON body: a text, @FILE, or - for standard input")
	f.BoolVar(&call.refresh, "refresh", false, "ask the server for its description even if it is known")
	f.BoolVar(&r.json, "json", false, "print lists as JSON too")
	return cmd
}

// apiCall is one use of the command.
type apiCall struct {
	*remote
	query   []string
	body    string
	refresh bool
}

func (a *apiCall) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if len(args) == 0 {
		return a.listServices(ctx)
	}
	reference, err := a.reference(ctx, args[0])
	if err != nil {
		return err
	}
	if len(args) == 1 {
		return a.listMethods(reference)
	}
	endpoint, err := reference.Endpoint(args[1])
	if err != nil {
		return fmt.Errorf("%w: \"treeline api %s\" lists them", err, args[0])
	}
	path, err := endpoint.Path(args[2:])
	if err != nil {
		return err
	}
	query, err := parseQuery(a.query)
	if err != nil {
		return err
	}
	if err := endpoint.CheckQuery(query); err != nil {
		return err
	}
	body, err := a.readBody(cmd.InOrStdin(), endpoint)
	if err != nil {
		return err
	}
	reply, err := a.client.CallRaw(ctx, strings.ToUpper(endpoint.Method), a.client.URL(args[0], path, query), body)
	if err != nil {
		return err
	}
	return a.printReply(reply)
}

func (a *apiCall) printReply(reply *client.Reply) error {
	var indented bytes.Buffer
	if json.Indent(&indented, reply.Body, "", "  ") != nil {
		_, err := a.out.Write(reply.Body)
		return err
	}
	if text := bytes.TrimRight(indented.Bytes(), "\n"); len(text) > 0 {
		a.printf("%s\n", text)
	}
	return nil
}

func (a *apiCall) listServices(ctx context.Context) error {
	names, err := a.client.Services(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string][]string{"services": names})
	}
	a.printf("%s\n", strings.Join(names, "\n"))
	return nil
}

func (a *apiCall) listMethods(reference client.Reference) error {
	if a.json {
		return a.printJSON(reference)
	}
	for _, e := range reference.Entries {
		words := append([]string{e.Name}, e.Args...)
		for i := range e.Args {
			words[i+1] = "<" + words[i+1] + ">"
		}
		a.printf("%s\n    %s\n", strings.Join(words, " "), e.Title)
	}
	return nil
}

func parseQuery(pairs []string) (url.Values, error) {
	query := url.Values{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--query %q must be of the form key=value", pair)
		}
		query.Add(key, value)
	}
	return query, nil
}

// readBody reads the body that was asked for; a method that takes one gets {} when none is given.
func (a *apiCall) readBody(stdin io.Reader, endpoint client.Endpoint) ([]byte, error) {
	var body []byte
	var err error
	switch {
	case a.body == "" && endpoint.Input == "":
		return nil, nil
	case a.body == "":
		body = []byte("{}")
	case a.body == "-":
		body, err = io.ReadAll(io.LimitReader(stdin, maxBody+1))
	case strings.HasPrefix(a.body, "@"):
		body, err = os.ReadFile(a.body[1:])
	default:
		body = []byte(a.body)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("--body: %w", err)
	case len(body) > maxBody:
		return nil, fmt.Errorf("--body: is larger than the %s that servers take", size(maxBody))
	case !json.Valid(body):
		return nil, errors.New("--body: is no JSON")
	}
	return body, nil
}

// reference returns the description of a service, from the cache while it is fresh, and in need
// when it is not.
func (a *apiCall) reference(ctx context.Context, service string) (client.Reference, error) {
	file := referenceFile(a.client.RootURL(), service)
	var known client.Reference
	data, err := os.ReadFile(file)
	cached := err == nil && json.Unmarshal(data, &known) == nil && len(known.Entries) > 0
	if info, err := os.Stat(file); cached && !a.refresh && err == nil && time.Since(info.ModTime()) < referenceAge {
		return known, nil
	}
	fresh, err := a.client.Reference(ctx, service)
	if errors.Is(err, fault.NotFound) {
		return known, fault.New(fault.NotFound, "the server has no service %q: \"treeline api\" lists them", service)
	}
	if err != nil {
		return known, fmt.Errorf("description of service %q: %w", service, err)
	}
	if data, err := json.Marshal(fresh); err == nil && file != "" && os.MkdirAll(filepath.Dir(file), 0o700) == nil {
		_ = os.WriteFile(file, data, 0o600) // a cache that cannot be written only costs time
	}
	return fresh, nil
}

// referenceFile is where a description is kept, "" when there is no cache directory.
func referenceFile(root, service string) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(root + "\n" + service))
	return filepath.Join(dir, "treeline", "references", hex.EncodeToString(sum[:12])+".json")
}
