package web

import (
	"bytes"
	"encoding/json"
	"errors"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// pretty writes JSON as the API does: indented by two spaces, without the escapes meant for HTML
// (taskcluster-map 3.1).
func pretty(v any) ([]byte, error) {
	var short atMost
	options := jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), jsonv2.WithMarshalers(number))
	err := jsonv2.MarshalWrite(&short, v, options, jsontext.WithIndent("  "))
	if !errors.Is(err, errLong) {
		return short.Bytes(), err
	}
	compact, err := jsonv2.Marshal(v, options)
	if err != nil {
		return nil, err
	}
	return indented(compact)
}

// number writes encoding/json's numbers, which the library takes for strings.
var number = jsonv2.MarshalToFunc(func(enc *jsontext.Encoder, n json.Number) error {
	if n == "" {
		n = "0"
	}
	return enc.WriteValue(jsontext.Value(n))
})

// atMost is a buffer for an answer of usual length.
type atMost struct{ bytes.Buffer }

var errLong = errors.New("the answer is long")

// Write implements io.Writer.
func (b *atMost) Write(p []byte) (int, error) {
	const most = 128 << 10
	if b.Len()+len(p) > most {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// indented lays long JSON out in the same way. What is nested so deeply that the spaces would be most of
// the answer stays as it is: a body of some kilobytes, sent by anybody, must not be answered with
// hundreds of megabytes.
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
