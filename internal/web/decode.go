package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep arrays and objects of a body may nest. PostgreSQL, which keeps them, takes some more than this;
// templates and schemas are never as deep.
const maxDepth = 1000

// errDeep says that a body nests deeper.
var errDeep = fmt.Errorf("its arrays and objects nest more than %d levels deep", maxDepth)

// decoded reads JSON text into what schemas are checked against: maps, slices, strings, numbers as they
// stand, booleans and nil. As in encoding/json, the last of equal names counts, and what is no UTF-8 is
// replaced. It is in the way of every request with a body, hence its own few lines.
func decoded(text []byte) (any, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := decodeValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more after its end")
		}
		return nil, err
	}
	return v, nil
}

// decodeValue reads one value.
func decodeValue(dec *jsontext.Decoder) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if dec.StackDepth() > maxDepth {
		return nil, errDeep
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case 't', 'f':
		return token.Bool(), nil
	case '[':
		return decodeArray(dec)
	case '{':
		return decodeObject(dec)
	default:
		return nil, nil
	}
}

func decodeArray(dec *jsontext.Decoder) (any, error) {
	out := []any{}
	for dec.PeekKind() != ']' {
		v, err := decodeValue(dec)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := dec.ReadToken()
	return out, err
}

func decodeObject(dec *jsontext.Decoder) (any, error) {
	out := map[string]any{}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if out[name], err = decodeValue(dec); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return out, err
}
