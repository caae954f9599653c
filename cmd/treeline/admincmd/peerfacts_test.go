package admincmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The facts about Taskcluster's endpoints and schemas, which the conformance test made from Taskcluster's own references.
const peerFacts = "../../../e2e/conformance/testdata"

// endpoint is one of Taskcluster's.
type endpoint struct {
	Service, Name, Method, Route string
	Query                        []string
	Input, Output                string
	path                         *regexp.Regexp
}

// verdict is which values Taskcluster's schema takes at a place of a body that it takes.
type verdict struct {
	Schema         string
	Base           json.RawMessage // the body; that of the verdict before when absent
	At             string          // JSON pointer, 0 for all items
	Takes, Refuses []any
}

// place is what is known of a place of a schema, from all verdicts about it.
type place struct {
	kinds   map[string]bool // of values that are taken
	refused []any           // values, but for descriptions such as that of absence
	needed  bool
	time    bool
}

// peer is Taskcluster's API, as far as its references tell.
type peer struct {
	endpoints []endpoint
	schemas   map[string]map[string]*place // by schema and pointer
}

func readPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{schemas: map[string]map[string]*place{}}
	readLines(t, "endpoints.jsonl", func(e endpoint) {
		pattern := regexp.MustCompile(`<[^<>]+>`).ReplaceAllString(regexp.QuoteMeta(e.Route), `[^/]+`)
		e.path = regexp.MustCompile("^/api/" + regexp.QuoteMeta(e.Service) + "/v1" + pattern + "$")
		p.endpoints = append(p.endpoints, e)
	})
	var base any
	readLines(t, "verdicts.jsonl", func(v verdict) {
		if v.Base != nil {
			base = nil
			must(t, json.Unmarshal(v.Base, &base))
		}
		if p.schemas[v.Schema] == nil {
			p.schemas[v.Schema] = map[string]*place{}
		}
		at := p.schemas[v.Schema][v.At]
		if at == nil {
			at = &place{kinds: map[string]bool{}, needed: true}
			p.schemas[v.Schema][v.At] = at
		}
		at.learn(v, within(base, v.At))
	})
	return p
}

func readLines[T any](t *testing.T, name string, yield func(T)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(peerFacts, name))
	must(t, err)
	for line := range bytes.Lines(data) {
		var v T
		must(t, json.Unmarshal(line, &v))
		yield(v)
	}
}

// within is the value at a pointer; nil when there is none.
func within(v any, at string) any {
	for _, name := range strings.Split(at, "/")[1:] {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			v = in[0]
		default:
			return nil
		}
	}
	return v
}

// described is a value that a verdict does not spell out, such as {"~": "absent"}.
func described(v any) string {
	object, _ := v.(map[string]any)
	text, _ := object["~"].(string)
	return text
}

func (p *place) learn(v verdict, base any) {
	needed := false
	for _, value := range v.Refuses {
		if described(value) == "absent" {
			needed = true
		} else {
			p.refused = append(p.refused, value)
		}
	}
	p.needed = p.needed && needed // schemas with several bodies do not need the same of all
	if base != nil {
		v.Takes = append(v.Takes, base)
	}
	for _, value := range v.Takes {
		switch text := described(value); {
		case text == "":
			p.kinds[kind(value)] = true
		case strings.HasPrefix(text, "items"):
			p.kinds["array"] = true
		case strings.HasPrefix(text, "x"):
			p.kinds["string"] = true
		}
	}
	if text, ok := base.(string); ok {
		_, err := time.Parse(time.RFC3339, text)
		p.time = err == nil
	}
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// find returns the endpoint of a request; nil when Taskcluster has none.
func (p *peer) find(r *http.Request) *endpoint {
	for i, e := range p.endpoints {
		if strings.EqualFold(e.Method, r.Method) && e.path.MatchString(r.URL.EscapedPath()) {
			return &p.endpoints[i]
		}
	}
	return nil
}

// misfits says what Taskcluster's schema has against a body.
func (p *peer) misfits(schema string, body any) []string {
	places := p.schemas[schema]
	if places == nil {
		return []string{"there is no verdict about " + schema}
	}
	var out []string
	var walk func(any, string)
	walk = func(v any, at string) {
		here := places[at]
		switch text, isText := v.(string); {
		case !here.kinds[kind(v)]:
			out = append(out, fmt.Sprintf("%s at %q is %s", schema, at, kind(v)))
		case isText && here.time:
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				out = append(out, fmt.Sprintf("%s at %q is no time", schema, at))
			}
		case isText && slices.Contains(here.refused, v):
			out = append(out, fmt.Sprintf("%s at %q is %q", schema, at, v))
		}
		switch in := v.(type) {
		case []any:
			for _, item := range in {
				if places[at+"/0"] != nil {
					walk(item, at+"/0")
				}
			}
		case map[string]any:
			for name, member := range in {
				switch {
				case places[at+"/"+name] != nil:
					walk(member, at+"/"+name)
				case closed(places, at):
					out = append(out, fmt.Sprintf("%s at %q has the unknown member %s", schema, at, name))
				}
			}
			for other, there := range places {
				name, is := strings.CutPrefix(other, at+"/")
				if _, has := in[name]; is && !strings.Contains(name, "/") && there.needed && !has && name != "some-extra" {
					out = append(out, fmt.Sprintf("%s at %q lacks %s", schema, at, name))
				}
			}
		}
	}
	walk(body, "")
	return out
}

// closed reports whether a schema takes no other members at a place than those it names.
func closed(places map[string]*place, at string) bool {
	extra := places[at+"/some-extra"]
	return extra != nil && len(extra.refused) > 0
}

// known is a body without what Taskcluster's schema does not know.
func (p *peer) known(schema string, body any) any {
	places := p.schemas[schema]
	var walk func(any, string) any
	walk = func(v any, at string) any {
		switch in := v.(type) {
		case []any:
			for i := range in {
				in[i] = walk(in[i], at+"/0")
			}
		case map[string]any:
			for name, member := range in {
				if places[at+"/"+name] != nil {
					in[name] = walk(member, at+"/"+name)
				} else if closed(places, at) {
					delete(in, name)
				}
			}
		}
		return v
	}
	return walk(body, "")
}
