package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schemas/*.json
var commonFiles embed.FS

// schemaBase is the made-up root that schemas are compiled under; what callers see has the real one.
const schemaBase = "treeline:"

// library holds the schemas of all services.
type library struct {
	compiler *jsonschema.Compiler
	files    map[string]map[string]any // by public path, such as /schemas/queue/v1/task.json
	used     map[string]bool
	patterns map[string]*regexp.Regexp // few, on many endpoints; each compiled has tens of kilobytes
}

// loadSchemas reads the schema files of all services, those common to all, and those of further
// references.
func loadSchemas(services []Service, references []Reference, further map[string]json.RawMessage) (*library, error) {
	lib := &library{
		compiler: jsonschema.NewCompiler(), files: map[string]map[string]any{}, used: map[string]bool{}, patterns: map[string]*regexp.Regexp{},
	}
	lib.compiler.DefaultDraft(jsonschema.Draft6)
	lib.compiler.AssertFormat()
	lib.compiler.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return lib.pattern(text) })
	common, err := fs.Sub(commonFiles, "schemas")
	if err != nil {
		return nil, err
	}
	if err := lib.load("/schemas/common", common); err != nil {
		return nil, err
	}
	for _, s := range services {
		if s.Schemas == nil {
			continue
		}
		files := s.Schemas
		if info, err := fs.Stat(files, "schemas"); err == nil && info.IsDir() {
			if files, err = fs.Sub(files, "schemas"); err != nil {
				return nil, err
			}
		}
		if err := lib.load("/schemas/"+s.Name+"/"+s.Version, files); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	for _, r := range references {
		if r.Schemas == nil {
			continue
		}
		if err := lib.load("/schemas/"+r.Service+"/"+r.Version, r.Schemas); err != nil {
			return nil, fmt.Errorf("reference %s of %s: %w", r.Name, r.Service, err)
		}
	}
	for public, text := range further {
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil || lib.files[public] != nil || !strings.HasPrefix(public, "/schemas/") {
			return nil, fmt.Errorf("schema %s: is no object, stands there already, or elsewhere (%w)", public, err)
		}
		lib.files[public] = doc
	}
	return lib, nil
}

func (l *library) load(dir string, files fs.FS) error {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("schema %s: %w", name, err)
		}
		doc, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("schema %s is not an object", name)
		}
		public := path.Join(dir, name)
		l.files[public] = doc
		if strings.HasPrefix(dir, "/schemas/common") {
			continue // published, not compiled: they describe documents, not bodies
		}
		// Where the file is decides its name; what it says about itself is for readers.
		bare := maps.Clone(doc)
		delete(bare, "$id")
		delete(bare, "$schema")
		if err := l.compiler.AddResource(schemaBase+"//"+public, bare); err != nil {
			return fmt.Errorf("schema %s: %w", name, err)
		}
	}
	return nil
}

// schema compiles the schema of a file name of the service's table; nil for "" and Blob.
func (l *library) schema(s *Service, name string) (*jsonschema.Schema, error) {
	if name == "" || name == Blob {
		return nil, nil
	}
	public := path.Join("/schemas", s.Name, s.Version, name)
	if _, ok := l.files[public]; !ok {
		return nil, fmt.Errorf("its schema %s is not there", name)
	}
	compiled, err := l.compiler.Compile(schemaBase + "//" + public)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	return compiled, nil
}

// pattern compiles a regular expression, once.
func (l *library) pattern(text string) (*regexp.Regexp, error) {
	if known := l.patterns[text]; known != nil {
		return known, nil
	}
	compiled, err := regexp.Compile(text)
	if err == nil {
		l.patterns[text] = compiled
	}
	return compiled, err
}
