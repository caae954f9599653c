package ghfake

import (
	"slices"
	"unicode/utf8"
)

// The limits of what a check run shows (vcs-integration 1.5).
const (
	maxCheckText   = 65_535 // characters of the summary, and of the text
	maxAnnotations = 50     // in one request
	maxMessage     = 64 << 10
	maxTitle       = 255
	maxActions     = 3
	maxLabel       = 20 // and identifier
	maxDescription = 40
)

func textOf(o obj, key string) string { s, _ := o[key].(string); return s }

// checkOutput refuses what GitHub refuses to show.
func (c *call) checkOutput() error {
	if out, ok := c.body["output"].(obj); ok {
		if textOf(out, "title") == "" || textOf(out, "summary") == "" {
			return invalid("Invalid request.\n\n\"title\", \"summary\" weren't supplied.")
		}
		for _, key := range []string{"summary", "text"} {
			if n := utf8.RuneCountInString(textOf(out, key)); n > maxCheckText {
				return invalid("Invalid request.\n\nOnly %d characters are allowed; %d were supplied.", maxCheckText, n)
			}
		}
		list, _ := out["annotations"].([]any)
		if len(list) > maxAnnotations {
			return invalid("Invalid request.\n\nNo more than %d items are allowed; %d were supplied.", maxAnnotations, len(list))
		}
		for _, item := range list {
			if a, _ := item.(obj); !annotation(a) {
				return invalid("Invalid request.\n\nFor 'properties/annotations', %v is not valid.", item)
			}
		}
	}
	return c.checkActions()
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

func (c *call) checkActions() error {
	list, _ := c.body["actions"].([]any)
	if len(list) > maxActions {
		return invalid("Invalid request.\n\nNo more than %d items are allowed; %d were supplied.", maxActions, len(list))
	}
	for _, item := range list {
		a, _ := item.(obj)
		for key, most := range map[string]int{"label": maxLabel, "description": maxDescription, "identifier": maxLabel} {
			if n := utf8.RuneCountInString(textOf(a, key)); n == 0 || n > most {
				return invalid("Invalid request.\n\nFor 'actions/%s', 1 to %d characters are allowed; %d were supplied.", key, most, n)
			}
		}
	}
	return nil
}

// LoseRun removes a check run, as GitHub does with the oldest of a thousand of one name.
func (s *Server) LoseRun(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
}

// MarkStale completes a check run as GitHub does when it was on for 14 days.
func (s *Server) MarkStale(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		r.status, r.conclusion, r.completed = "completed", "stale", s.Now()
	}
}

// Annotations returns the annotations of a check run: path and message of each.
func (s *Server) Annotations(id int64) (out [][2]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		for _, item := range r.annotations {
			if a, ok := item.(obj); ok {
				out = append(out, [2]string{textOf(a, "path"), textOf(a, "message")})
			}
		}
	}
	return out
}
