package perform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// PlainJSON reads one JSON value as the plain values that actions work on: whole numbers are int64.
// Nothing is null. What it is stands in errors.
func PlainJSON(what string, src []byte) (any, error) {
	if len(bytes.TrimSpace(src)) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind the value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", what, err)
	}
	return plain(v)
}

// PlainObject is PlainJSON for a definition.
func PlainObject(src []byte) (map[string]any, error) {
	v, err := PlainJSON("the definition", src)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the definition is %T, not an object", v)
	}
	return m, nil
}

// plain replaces the numbers inside v, which is the caller's own.
func plain(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		return v.Float64()
	case map[string]any:
		for k, e := range v {
			if v[k], err = plain(e); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if v[i], err = plain(e); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
