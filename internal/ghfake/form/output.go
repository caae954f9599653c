package form

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// The limits of what a check run shows (vcs-integration 1.5).
const (
	maxAnnotations = 50 // in one request
	maxMessage     = 64 << 10
	maxTitle       = 255
	maxActions     = 3
	maxLabel       = 20 // and identifier
	maxDescription = 40
)

func textOf(o obj, key string) string { s, _ := o[key].(string); return s }

// Output says what GitHub refuses to show of the body of a check run beyond its form; "" when nothing.
func Output(body map[string]any) string {
	if out, ok := body["output"].(obj); ok {
		if textOf(out, "title") == "" || textOf(out, "summary") == "" {
			return `"title", "summary" weren't supplied.`
		}
		for _, key := range []string{"summary", "text"} {
			if n := utf8.RuneCountInString(textOf(out, key)); n > maxCheckText {
				return fmt.Sprintf("Only %d characters are allowed; %d were supplied.", maxCheckText, n)
			}
		}
		list, _ := out["annotations"].([]any)
		if len(list) > maxAnnotations {
			return fmt.Sprintf("No more than %d items are allowed; %d were supplied.", maxAnnotations, len(list))
		}
		for _, item := range list {
			if a, _ := item.(obj); !annotation(a) {
				return fmt.Sprintf("For 'properties/annotations', %v is not valid.", item)
			}
		}
	}
	return actions(body)
}

// annotation reports whether GitHub takes an annotation.
func annotation(a obj) bool {
	_, column := a["start_column"]
	start, hasStart := a["start_line"]
	end, hasEnd := a["end_line"]
	return textOf(a, "path") != "" && textOf(a, "message") != "" && len(textOf(a, "message")) <= maxMessage && len(textOf(a, "raw_details")) <= maxMessage &&
		utf8.RuneCountInString(textOf(a, "title")) <= maxTitle && hasStart && hasEnd && (!column || start == end) &&
		slices.Contains([]string{"notice", "warning", "failure"}, textOf(a, "annotation_level"))
}

func actions(body map[string]any) string {
	list, _ := body["actions"].([]any)
	if len(list) > maxActions {
		return fmt.Sprintf("No more than %d items are allowed; %d were supplied.", maxActions, len(list))
	}
	for _, item := range list {
		a, _ := item.(obj)
		for key, most := range map[string]int{"label": maxLabel, "description": maxDescription, "identifier": maxLabel} {
			if n := utf8.RuneCountInString(textOf(a, key)); n == 0 || n > most {
				return fmt.Sprintf("For 'actions/%s', 1 to %d characters are allowed; %d were supplied.", key, most, n)
			}
		}
	}
	return ""
}
