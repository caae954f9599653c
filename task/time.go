package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	timeFormat   = "2006-01-02T15:04:05.000Z"
	quotedFormat = `"` + timeFormat + `"`
)

// Time is an instant as the wire carries it: UTC, milliseconds, a trailing Z.
type Time struct{ time.Time }

// At returns t cut to the milliseconds that the wire can carry.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// String returns the wire form.
func (t Time) String() string { return t.UTC().Format(timeFormat) }

// MarshalJSON writes the wire form.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(make([]byte, 0, len(quotedFormat)), quotedFormat), nil
}

// MarshalJSONTo is MarshalJSON without a copy, for who writes with jsontext.
func (t Time) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(t.UTC().AppendFormat(enc.AvailableBuffer(), quotedFormat))
}

// UnmarshalJSON reads any RFC 3339 instant and cuts it to milliseconds. One that a time zone moves out of the years 0 to 9999
// is an error: nobody could read its wire form.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if n := len(data); n >= 2 && data[0] == '"' && bytes.IndexByte(data, '\\') < 0 {
		s = string(data[1 : n-1])
	} else if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a time must be a string: %w", err)
	}
	parsed, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("%q is no RFC 3339 date-time such as %s", s, timeFormat)
	}
	at := At(parsed)
	if y := at.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%q lies, in UTC, outside of the years 0 to 9999", s)
	}
	*t = at
	return nil
}
