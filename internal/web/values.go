package web

import "github.com/treeline-ci/treeline/internal/fault"

// bytesPerValue is how many bytes of its limit a body must leave for each value in it. Reading and
// validating costs per value, not per byte: ten megabytes of tiny ones would take gigabytes of memory
// and half a minute.
const bytesPerValue = 32

// checkValues refuses a body with more values than its endpoint's limit has room for: 327,680 where
// nothing is said.
func (r *Request) checkValues() error {
	limit := r.endpoint.MaxBody
	if limit == 0 {
		limit = DefaultBody
	}
	most := int(limit / bytesPerValue)
	if len(r.raw) > most && moreValues(r.raw, most) {
		return fault.New(fault.TooLarge, "The request's body has more than %d values.", most)
	}
	return nil
}

// moreValues reports whether JSON text has more than most values: each stands before a comma or ends
// an array or an object.
func moreValues(text []byte, most int) bool {
	n, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '{' || c == '['):
			if n++; n > most {
				return true
			}
		}
	}
	return false
}
