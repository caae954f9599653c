// Package form says what the bodies of requests to the double of GitHub may hold, and complains in GitHub's words.
package form

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

type obj = map[string]any

// Form is what a request's body may hold: fields by name.
type Form struct {
	fields map[string]field
}

// field is one member of a body.
type field struct {
	kind     string // string, integer, boolean, object, array
	required bool
	max      int      // characters of a string, entries of an array; 0 for no limit
	enum     []string // of a string
	null     bool     // null is allowed
	of       *Form    // of an object, or of an array's entries
}

func fields(list map[string]field) *Form { return &Form{fields: list} }

// Problems says what is wrong with a body, sorted; none when nothing is. Numbers are json.Number.
func (f *Form) Problems(body map[string]any) []string {
	var problems []string
	f.collect("", body, &problems)
	slices.Sort(problems)
	return problems
}

func (f *Form) collect(at string, body obj, problems *[]string) {
	for name, fl := range f.fields {
		v, there := body[name]
		if !there {
			if fl.required {
				*problems = append(*problems, fmt.Sprintf("%q wasn't supplied.", at+name))
			}
			continue
		}
		fl.collect(at+name, v, problems)
	}
	for name := range body {
		if _, known := f.fields[name]; !known {
			*problems = append(*problems, fmt.Sprintf("%q is not a permitted key.", at+name))
		}
	}
}

func (f field) collect(at string, v any, problems *[]string) {
	complain := func(format string, args ...any) { *problems = append(*problems, fmt.Sprintf(format, args...)) }
	if v == nil {
		if !f.null {
			complain("For '%s', nil is not a %s.", at, f.kind)
		}
		return
	}
	switch v := v.(type) {
	case string:
		switch {
		case f.kind != "string":
			complain("For '%s', %q is not a %s.", at, v, f.kind)
		case f.enum != nil && !slices.Contains(f.enum, v):
			complain("For '%s', %q is not one of %s.", at, v, strings.Join(f.enum, ", "))
		case f.max > 0 && utf8.RuneCountInString(v) > f.max:
			complain("Only %d characters are allowed for '%s'; %d were supplied.", f.max, at, utf8.RuneCountInString(v))
		}
	case json.Number:
		if _, err := v.Int64(); err != nil || f.kind != "integer" {
			complain("For '%s', %s is not a %s.", at, v, f.kind)
		}
	case bool:
		if f.kind != "boolean" {
			complain("For '%s', %v is not a %s.", at, v, f.kind)
		}
	case obj:
		if f.kind != "object" {
			complain("For '%s', an object is not a %s.", at, f.kind)
		} else if f.of != nil {
			f.of.collect(at+".", v, problems)
		}
	case []any:
		if f.kind != "array" {
			complain("For '%s', an array is not a %s.", at, f.kind)
			return
		}
		if f.max > 0 && len(v) > f.max {
			complain("No more than %d items are allowed for '%s'; %d were supplied.", f.max, at, len(v))
		}
		for i, item := range v {
			here := fmt.Sprintf("%s/%d", at, i)
			if o, ok := item.(obj); ok && f.of != nil {
				f.of.collect(here+".", o, problems)
			} else if f.of != nil {
				complain("For '%s', it is not an object.", here)
			}
		}
	}
}

const maxCheckText = 65535

// CheckRun is the body that makes a check run, or changes one.
func CheckRun(create bool) *Form {
	need := func(max int) field { return field{kind: "string", required: true, max: max} }
	output := fields(map[string]field{
		"title": need(0), "summary": need(maxCheckText), "text": {kind: "string", max: maxCheckText},
		"annotations": {kind: "array", max: 50, of: fields(map[string]field{
			"path": need(0), "start_line": {kind: "integer", required: true}, "end_line": {kind: "integer", required: true},
			"annotation_level": {kind: "string", required: true, enum: []string{"notice", "warning", "failure"}},
			"message":          need(64 << 10), "title": {kind: "string", max: 255}, "raw_details": {kind: "string", max: 64 << 10},
			"start_column": {kind: "integer"}, "end_column": {kind: "integer"},
		})},
		"images": {kind: "array", of: fields(map[string]field{"alt": need(0), "image_url": need(0), "caption": {kind: "string"}})},
	})
	f := map[string]field{
		"name":         {kind: "string", required: create},
		"details_url":  {kind: "string"},
		"external_id":  {kind: "string"},
		"status":       {kind: "string", enum: []string{"queued", "in_progress", "completed"}},
		"started_at":   {kind: "string"},
		"completed_at": {kind: "string"},
		"conclusion":   {kind: "string", enum: []string{"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}},
		"output":       {kind: "object", of: output},
		"actions":      {kind: "array", max: 3, of: fields(map[string]field{"label": need(20), "description": need(40), "identifier": need(20)})},
	}
	if create {
		f["head_sha"] = need(40)
	}
	return fields(f)
}

// Status is the body of a commit status.
func Status() *Form {
	return fields(map[string]field{
		"state":      {kind: "string", required: true, enum: []string{"error", "failure", "pending", "success"}},
		"target_url": {kind: "string", null: true}, "description": {kind: "string", null: true, max: 140}, "context": {kind: "string"},
	})
}

// Comment is the body of a comment.
func Comment() *Form {
	return fields(map[string]field{"body": {kind: "string", required: true, max: 65536}})
}

// Reaction is the body of a reaction.
func Reaction() *Form {
	return fields(map[string]field{"content": {kind: "string", required: true,
		enum: []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}}})
}

// Token is the body that asks for an installation token.
func Token() *Form {
	return fields(map[string]field{
		"repositories": {kind: "array", max: 500}, "repository_ids": {kind: "array", max: 500}, "permissions": {kind: "object"},
	})
}

// CommitComment is the body of a comment on a commit.
func CommitComment() *Form {
	return fields(map[string]field{
		"body": {kind: "string", required: true, max: 65536}, "path": {kind: "string"}, "position": {kind: "integer"}, "line": {kind: "integer"},
	})
}
