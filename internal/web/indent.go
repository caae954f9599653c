package web

import (
	"bytes"
	"encoding/json"
)

// indented lays JSON out with two spaces a level, as answers of the API are (taskcluster-map 3.1).
// What is nested so deeply that the spaces would be most of the answer stays as it is: a body of some
// kilobytes, sent by anybody, must not be answered with hundreds of megabytes.
func indented(compact []byte) ([]byte, error) {
	if mostlySpace(compact) {
		return compact, nil
	}
	var buf bytes.Buffer
	buf.Grow(len(compact) * 2)
	if err := json.Indent(&buf, compact, "", "  "); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// mostlySpace reports whether indentation would make valid, compact JSON more than about eight times
// as long.
func mostlySpace(compact []byte) bool {
	most := 8*len(compact) + 16<<10
	depth, spaces, quoted := 0, 0, false
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			spaces += 1 + 2*depth
		case c == '}' || c == ']':
			depth--
			spaces += 1 + 2*depth
		case c == ',':
			spaces += 1 + 2*depth
		}
		if spaces > most {
			return true
		}
	}
	return false
}
