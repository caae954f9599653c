package apicall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

const token = "continuationToken"

// pages asks for page after page and joins them: lists are put together, of everything else the last
// page counts.
func (c *Caller) pages(ctx context.Context, e client.Endpoint, call Call, path string) ([]byte, error) {
	if !slices.Contains(e.Query, token) {
		return nil, fault.New(fault.BadArguments, "%s gives no pages", e.Name)
	}
	query := url.Values{}
	for key, values := range call.Query {
		query[key] = values
	}
	call.Query = query
	whole := map[string]json.RawMessage{}
	for seen := map[string]bool{}; ; {
		body, err := c.once(ctx, e, call, path)
		if err != nil {
			return nil, err
		}
		next, err := join(whole, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		if next == "" {
			return json.Marshal(whole)
		}
		if seen[next] {
			return nil, fault.New(fault.Internal, "%s gives the page %q again and again", e.Name, next)
		}
		seen[next] = true
		query.Set(token, next)
	}
}

// join adds a page to the whole and returns the token of the next, "" at the end.
func join(whole map[string]json.RawMessage, body []byte) (string, error) {
	var page map[string]json.RawMessage
	if err := json.Unmarshal(body, &page); err != nil {
		return "", fmt.Errorf("a page is no JSON object: %w", err)
	}
	var next string
	if t, ok := page[token]; ok {
		if err := json.Unmarshal(t, &next); err != nil {
			return "", fmt.Errorf("a page's token: %w", err)
		}
		delete(page, token)
	}
	for name, value := range page {
		var before, more []json.RawMessage
		if isList(whole[name], &before) && isList(value, &more) {
			joined, err := json.Marshal(append(before, more...))
			if err != nil {
				return "", err
			}
			value = joined
		}
		whole[name] = value
	}
	return next, nil
}

func isList(text json.RawMessage, list *[]json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) && json.Unmarshal(text, list) == nil
}
