package apicall

import (
	"context"
	"slices"
	"strings"
)

// Complete returns what the next word of a command line can be, given those before it: services, then
// methods, each with its title behind a tab as shells show it. What cannot be asked completes to
// nothing.
func (c *Caller) Complete(ctx context.Context, words []string, begun string) []string {
	var out []string
	switch len(words) {
	case 0:
		services, err := c.Services(ctx)
		if err != nil {
			return nil
		}
		out = services
	case 1:
		r, err := c.Reference(ctx, words[0])
		if err != nil {
			return nil
		}
		for _, e := range r.Entries {
			out = append(out, e.Name+"\t"+e.Title)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return !strings.HasPrefix(s, begun) })
}

// CompleteQuery returns the query parameters that a method knows.
func (c *Caller) CompleteQuery(ctx context.Context, words []string, begun string) []string {
	if len(words) < 2 {
		return nil
	}
	_, e, err := c.Endpoint(ctx, words[0], words[1])
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range e.Query {
		if strings.HasPrefix(name+"=", begun) {
			out = append(out, name+"=")
		}
	}
	return out
}
