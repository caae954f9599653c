package web

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/treeline-ci/treeline/internal/fault"
)

// checkParams names every route parameter that does not match its pattern.
func (r *Request) checkParams() error {
	var bad []string
	for _, name := range r.endpoint.route.params {
		if p := r.endpoint.params[name]; p != nil && !p.MatchString(r.Params[name]) {
			bad = append(bad, fmt.Sprintf("  * URL parameter %q given as %q must match the regular expression %q", name, clip(r.shownParams()[name]), p))
		}
	}
	return arguments(bad)
}

// checkQuery refuses query parameters that are unknown, given twice, cannot be read, or do not match their pattern: without
// one of them the answer would be about more than was asked for. bewit, a form of credentials, is always allowed.
func (r *Request) checkQuery() error {
	if r.HTTP.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.HTTP.URL.RawQuery)
	var bad []string
	if err != nil {
		bad = append(bad, fmt.Sprintf("  * the query cannot be read: %s; in a value, %%3B stands for a semicolon and %%25 for a percent sign", clip(err.Error())))
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		pattern, known := r.endpoint.query[name]
		switch values := query[name]; {
		case name == "bewit":
		case !known:
			bad = append(bad, fmt.Sprintf("  * query parameter %q is not supported", clip(name)))
		case len(values) != 1:
			bad = append(bad, fmt.Sprintf("  * query parameter %q is given %d times", name, len(values)))
		case !pattern.MatchString(values[0]):
			bad = append(bad, fmt.Sprintf("  * query parameter %q given as %q must match the regular expression %q", name, clip(values[0]), pattern))
		}
	}
	return arguments(bad)
}

func arguments(bad []string) error {
	if len(bad) == 0 {
		return nil
	}
	return fault.New(fault.BadArguments, "The request has parameters that cannot be used:\n\n%s", strings.Join(limited(bad), "\n"))
}

// checkBody validates the body against the input schema.
func (r *Request) checkBody() error {
	e := r.endpoint
	if e.input == nil {
		return nil
	}
	if !r.isJSON {
		return fault.New(fault.Malformed, "The request must have a JSON body and the header content-type: application/json.")
	}
	if err := r.checkValues(); err != nil {
		return err
	}
	value, err := decoded(r.raw)
	if errors.Is(err, errDeep) {
		return fault.New(fault.BadInput, "The request's body cannot be used: %v.", errDeep)
	}
	if err != nil && len(e.Secret) > 0 {
		return fault.New(fault.Malformed, "The request's body is not JSON.") // the cause may repeat of it
	}
	if err != nil {
		return fault.Wrap(fault.Malformed, err, "The request's body is not JSON: %v", err)
	}
	if !isContainer(r.raw) {
		return fault.New(fault.Malformed, "The request's body must be a JSON object or array.")
	}
	if err := e.input.Validate(value); err != nil {
		return fault.New(fault.BadInput, "The request's body does not fit its schema %s/schemas/%s/%s/%s:\n\n%s",
			r.site.RootURL, e.service.Name, e.service.Version, e.Input, strings.Join(violations(err, len(e.Secret) > 0), "\n"))
	}
	r.Body = r.raw
	return nil
}

// violations lists what is wrong with a value, one line a place. Of a secret value it names the places
// that the schema knows and the rules broken, and repeats nothing.
func violations(err error, secret bool) []string {
	ve, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []string{"  * " + clip(err.Error())}
	}
	printer := message.NewPrinter(language.English)
	var lines []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(lines) == considered {
			return
		}
		if len(e.Causes) == 0 {
			place := "body"
			for _, token := range e.InstanceLocation {
				place += "/" + token
			}
			what := clip(e.ErrorKind.LocalizedString(printer))
			if secret {
				what = "breaks the rule " + strings.Join(e.ErrorKind.KeywordPath(), "/")
			}
			lines = append(lines, fmt.Sprintf("  * %s: %s", clip(place), what))
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(ve)
	slices.Sort(lines)
	return limited(slices.Compact(lines))
}

// considered is how many violations are put into words, of which the first in order are told.
const considered = 1000

// limited keeps an error readable.
func limited(lines []string) []string {
	const most = 20
	if len(lines) > most {
		return append(lines[:most:most], fmt.Sprintf("  * … and %d more", len(lines)-most))
	}
	return lines
}

// clip shortens what a caller sent before it is repeated.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
