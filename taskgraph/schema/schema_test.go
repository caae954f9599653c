package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/source"
)

func TestCheck(t *testing.T) {
	worker := schema.Strict(
		schema.Req("max-run-time", schema.Int()),
		schema.Opt("env", schema.Map(schema.Reference())),
		schema.Opt("caches", schema.List(schema.Strict(schema.Req("name", schema.String())))),
		schema.Opt("use", schema.OneOf(schema.Bool(), schema.List(schema.Enum("pip", "npm")))),
		schema.Opt("for", schema.KeyedBy(schema.List(schema.String()), "platform")),
		schema.Opt("a", schema.Any()), schema.Opt("b", schema.Any()),
	).Exclusive("a", "b")
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"all is well", "{max-run-time: 1, env: {A: b, C: {task-reference: <x>}}, caches: [{name: x}], use: [pip], for: {by-platform: {a: [b], default: {by-platform: {c: [], d: []}}}}}", nil},
		{"null is no value", "{max-run-time: 1, env: null}", nil},
		{"all problems are told", "{max-run-tim: 1, env: {A: 1}, caches: [{name: x}, {nam: y}]}", []string{
			`the key "max-run-time" is missing`, `env.A: must be a string or a reference such as {task-reference: text}, not an integer`,
			`caches.1: the key "name" is missing`, `caches.1.nam: the key "nam" is not known here; is "name" meant?`, `max-run-tim: the key "max-run-tim" is not known here; is "max-run-time" meant?`,
		}},
		{"a boolean is no integer", "{max-run-time: yes}", []string{"max-run-time: must be an integer, not a boolean"}},
		{"words have neighbours", "{max-run-time: 1, use: [pip, npn]}", []string{`use.1: must be one of pip, npm, not "npn"; is "npm" meant?`}},
		{"text that YAML reads as a number", "{max-run-time: 1, caches: [{name: 1.0}]}", []string{"caches.0.name: must be a string, not a number; put it in quotes"}},
		{"an alternative of its own", "{max-run-time: 1, use: 3}", []string{"use: must be true or false or a list, not an integer"}},
		{"choice by the wrong field", "{max-run-time: 1, for: {by-project: {a: [b]}}}", []string{"for: cannot be chosen by-project; possible here: by-platform"}},
		{"inside a choice", "{max-run-time: 1, for: {by-platform: {a: b}}}", []string{"for.by-platform.a: must be a list, not a string"}},
		{"keys that exclude each other", "{max-run-time: 1, a: 1, b: 2}", []string{`"a" and "b" exclude each other`}},
		{"no mapping at all", "[]", []string{"must be a mapping, not a list"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := source.Parse("x.yml", []byte(c.yaml))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range schema.Check(worker, f.Value) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTagged(t *testing.T) {
	recipient := schema.Tagged("type", map[string]*schema.Object{
		"email": schema.Strict(schema.Req("type", schema.String()), schema.Req("address", schema.String())),
		"pulse": schema.Strict(schema.Req("type", schema.String()), schema.Req("routing-key", schema.String())),
	})
	for yaml, want := range map[string][]string{
		"{type: email, address: a}": nil,
		"{type: email}":             {`the key "address" is missing`},
		"{type: mail}":              {`type: must be one of email, pulse, not "mail"; is "email" meant?`},
		"{address: a}":              {`the key "type" is missing; it is one of email, pulse`},
	} {
		f, err := source.Parse("x.yml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range schema.Check(recipient, f.Value) {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", yaml, diff)
		}
	}
}
