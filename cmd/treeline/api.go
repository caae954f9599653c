package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/client/apicall"
)

const maxBody = 10 << 20

func newAPICommand() *cobra.Command {
	r := &remote{}
	call := apiCommand{remote: r}
	cmd := &cobra.Command{
		Use:   "api [SERVICE [METHOD [ARGUMENT...]]]",
		Short: "Call any method of any service",
		Long: `Calls a method of the API as the server itself describes it, so that every service of any server
can be used, also of a Taskcluster. Without METHOD the service's methods are listed, without
SERVICE the services; with --help behind a method it is described. The answer is printed as it
comes, JSON indented.

Descriptions are kept for an hour in the user's cache directory; --refresh asks anew.` + exitCodesHelp,
		Example: `  treeline api
  treeline api queue
  treeline api queue listTaskGroup --help
  treeline api queue status fN1SbArXTPSVFNUvaOlinQ
  treeline api queue listTaskGroup fN1SbArXTPSVFNUvaOlinQ --paginate
  treeline api auth expandScopes --body - <<< '{"scopes": ["assume:anonymous"]}'`,
		RunE: r.does(call.run),
	}
	f := cmd.Flags()
	f.StringArrayVar(&call.query, "query", nil, "query parameter key=value (repeatable)")
	f.StringVarP(&call.body, "body", "b", "", "JSON body: a text, @FILE, or - for standard input")
	f.BoolVar(&call.pages, "paginate", false, "ask for all pages and join them")
	f.BoolVar(&call.refresh, "refresh", false, "ask the server for its description even if it is known")
	f.BoolVar(&r.json, "json", false, "print lists as JSON too")
	call.help(cmd)
	cmd.ValidArgsFunction = call.completes((*apicall.Caller).Complete)
	// The flag is there, so this cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("query", call.completes((*apicall.Caller).CompleteQuery))
	return cmd
}

// apiCommand is one use of the command.
type apiCommand struct {
	*remote
	query   []string
	body    string
	pages   bool
	refresh bool
}

func (a *apiCommand) caller() *apicall.Caller {
	return &apicall.Caller{Client: a.client, Cache: apicall.DefaultCache(), Refresh: a.refresh}
}

func (a *apiCommand) run(cmd *cobra.Command, args []string) error {
	ctx, caller := cmd.Context(), a.caller()
	switch len(args) {
	case 0:
		return a.listServices(caller.Services(ctx))
	case 1:
		return a.listMethods(caller.Reference(ctx, args[0]))
	}
	query, err := parseQuery(a.query)
	if err != nil {
		return err
	}
	body, err := a.readBody(cmd.InOrStdin())
	if err != nil {
		return err
	}
	answer, err := caller.Do(ctx, apicall.Call{
		Service: args[0], Method: args[1], Args: args[2:], Query: query, Body: body, AllPages: a.pages,
	})
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if json.Indent(&indented, answer, "", "  ") != nil {
		_, err := a.out.Write(answer)
		return err
	}
	if text := bytes.TrimRight(indented.Bytes(), "\n"); len(text) > 0 {
		a.printf("%s\n", text)
	}
	return nil
}

// help makes --help behind a method describe the method. Where the server cannot be asked the help of
// the command itself follows.
func (a *apiCommand) help(cmd *cobra.Command) {
	general := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, words []string) {
		args := cmd.Flags().Args()
		if len(args) < 2 {
			general(cmd, words)
			return
		}
		err := a.does(func(cmd *cobra.Command, _ []string) error {
			text, err := a.caller().Describe(cmd.Context(), args[0], args[1])
			if err == nil {
				a.printf("%s", text)
			}
			return err
		})(cmd, args)
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "treeline: %v\n\n", err)
			general(cmd, words)
		}
	})
}

type completer = func(*apicall.Caller, context.Context, []string, string) []string

// completes asks the server what could come next.
func (a *apiCommand) completes(ask completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (list []string, _ cobra.ShellCompDirective) {
		err := a.does(func(cmd *cobra.Command, _ []string) error {
			a.client = a.client.WithPatience(-1) // nobody waits for a completion
			list = ask(a.caller(), cmd.Context(), args, begun)
			return nil
		})(cmd, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *apiCommand) listServices(names []string, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string][]string{"services": names})
	}
	a.printf("%s\n", strings.Join(names, "\n"))
	return nil
}

func (a *apiCommand) listMethods(reference client.Reference, err error) error {
	if err != nil {
		return err
	}
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

// readBody reads the body that was asked for; nil when there is none.
func (a *apiCommand) readBody(stdin io.Reader) ([]byte, error) {
	var body []byte
	var err error
	switch {
	case a.body == "":
		return nil, nil
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
