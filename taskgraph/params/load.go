package params

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/source"
)

// maxFile bounds a parameters file, in bytes after decompression. The number of values and their
// depth have the limits of package source.
const maxFile = 64 << 20

// Load is LoadWith for the core parameters alone.
func Load(name string, src []byte, strict bool) (*Parameters, error) {
	return LoadWith(name, src, Options{Strict: strict})
}

// LoadWith reads parameters in YAML or JSON, gzipped or not. Each problem is a *graph.Error with
// name for the file, and the line where the file has the key.
func LoadWith(name string, src []byte, o Options) (*Parameters, error) {
	doc, err := parse(name, src)
	if err != nil {
		return nil, err
	}
	p, problems := build(doc.values, o)
	errs := make([]error, len(problems))
	for i, x := range problems {
		errs[i] = &graph.Error{File: name, Line: doc.root.Key(x.key).Line(), Message: x.text}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Decode reads the object in a parameters file without checking it.
func Decode(name string, src []byte) (map[string]any, error) {
	doc, err := parse(name, src)
	return doc.values, err
}

// document is a parameters file and the places in it.
type document struct {
	values map[string]any
	root   source.Node
}

func parse(name string, src []byte) (document, error) {
	src, err := plain(src)
	if err != nil {
		return document{}, &graph.Error{File: name, Err: err}
	}
	file, yamlErr := source.Parse(name, src)
	if v, ok := asJSON(src); ok {
		d := document{values: v}
		if yamlErr == nil {
			d.root = file.Root()
		}
		return d, nil
	}
	if yamlErr != nil {
		return document{}, yamlErr
	}
	for _, w := range file.Warnings { // what is odd in a kind is wrong where a person looks for one value
		return document{}, &graph.Error{File: w.File, Line: w.Line, Message: strings.TrimSuffix(w.Message, "; the last one counts") + "; leave one out"}
	}
	if file.Value == nil {
		return document{values: map[string]any{}, root: file.Root()}, nil
	}
	m, ok := file.Value.(map[string]any)
	if !ok {
		return document{}, &graph.Error{File: name, Line: file.Root().Line(), Message: "parameters must be an object of name: value"}
	}
	if _, err := json.Marshal(m); err != nil { // decisions publish parameters as JSON, too
		return document{}, &graph.Error{File: name, Message: "holds a number that is infinite or none"}
	}
	return document{values: m, root: file.Root()}, nil
}

// asJSON reads src as a JSON object. YAML reads most of JSON the same, but not its pairs of
// escapes for one character.
func asJSON(src []byte) (map[string]any, bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{")) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v map[string]any
	if d.Decode(&v) != nil || v == nil {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	m, _ := numbers(v, 0).(map[string]any)
	return m, m != nil
}

// numbers makes int64 and float64 of JSON's numbers. What is deeper than other files may be
// becomes null.
func numbers(v any, depth int) any {
	if depth > source.MaxDepth {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = numbers(x, depth+1)
		}
	case []any:
		for i, x := range v {
			v[i] = numbers(x, depth+1)
		}
	case json.Number:
		return normal(v)
	}
	return v
}

// plain undoes gzip, recognised by its first bytes.
func plain(src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, []byte{0x1f, 0x8b}) {
		if len(src) > maxFile {
			return nil, fmt.Errorf("larger than %d MB", maxFile>>20)
		}
		return src, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if len(out) > maxFile {
		return nil, fmt.Errorf("larger than %d MB unpacked", maxFile>>20)
	}
	return out, nil
}
