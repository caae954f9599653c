// Package ghspec holds requests to the double of GitHub, and its answers, against the description of the REST API that
// GitHub publishes (npm package @octokit/openapi). Tests give a Spec to ghfake.Options.Inspector.
//
// The description is fetched through npm once per machine and never becomes part of the project; what is kept of it,
// beside the system's temporary files, are the parts that the double serves.
package ghspec

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/sys"
)

// The package of the description, its version and what its content must be.
const (
	source    = "@octokit/openapi@23.0.2"
	integrity = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==" // sha512
	inside    = "package/generated/api.github.com.json"
)

// Install returns the description of the given routes, such as "GET /repos/{owner}/{repo}", as JSON. It needs npm and,
// the first time, a registry.
func Install(ctx context.Context, routes []string) ([]byte, error) {
	sum := sha256.Sum256([]byte(source + integrity + trimmer + strings.Join(slices.Sorted(slices.Values(routes)), "\n")))
	dir := filepath.Join(os.TempDir(), "treeline-ghspec-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	defer lock.Close()
	if err := sys.Lock(lock, sys.Exclusive); err != nil {
		return nil, fmt.Errorf("ghspec: lock: %w", err)
	}
	kept := filepath.Join(dir, "api.json")
	if text, err := os.ReadFile(kept); err == nil {
		return text, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	whole, err := fetch(ctx, dir)
	if err != nil {
		return nil, err
	}
	text, err := trim(whole, routes)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(kept+".new", text, 0o644); err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	return text, os.Rename(kept+".new", kept)
}

// fetch has npm download the package, and takes the one file out of it.
func fetch(ctx context.Context, dir string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "npm", "pack", source, "--ignore-scripts", "--silent")
	cmd.Dir = dir
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ghspec: npm pack (is npm installed, does it reach its registry?): %w\n%s", err, problems.String())
	}
	lines := strings.Fields(string(out))
	if len(lines) == 0 {
		return nil, errors.New("ghspec: npm pack names no file")
	}
	at := filepath.Join(dir, filepath.Base(lines[len(lines)-1]))
	defer os.Remove(at)
	packed, err := os.Open(at)
	if err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	defer packed.Close()
	hash := sha512.New()
	text, err := unpack(io.TeeReader(packed, hash))
	if err != nil {
		return nil, fmt.Errorf("ghspec: %s: %w", source, err)
	}
	if got := base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != integrity {
		return nil, fmt.Errorf("ghspec: %s has the digest sha512-%s, not the one expected", source, got)
	}
	return text, nil
}

func unpack(r io.Reader) (text []byte, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(z)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Name == inside {
			if text, err = io.ReadAll(files); err != nil {
				return nil, err
			}
		}
	}
	if text == nil {
		return nil, errors.New("it lacks " + inside)
	}
	_, err = io.Copy(io.Discard, r) // to its last byte, for the digest
	return text, err
}

// trimmer changes when trim does, so that what it kept before is made anew.
const trimmer = "2"

// trim keeps the routes, and the components that they refer to, of an OpenAPI document.
func trim(text []byte, routes []string) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	wanted := map[string]bool{}
	for _, r := range routes {
		wanted[shape(r)] = true
	}
	paths, _ := doc["paths"].(map[string]any)
	kept := map[string]any{}
	for path, item := range paths {
		methods, _ := item.(map[string]any)
		some := map[string]any{}
		for method, operation := range methods {
			if o, ok := operation.(map[string]any); ok && wanted[shape(strings.ToUpper(method)+" "+path)] {
				delete(o, "x-octokit")
				if path == "/app/installations" {
					mend(o)
				}
				some[method] = o
			}
		}
		if len(some) > 0 {
			kept[path] = some
		}
	}
	components, _ := doc["components"].(map[string]any)
	used := map[string]any{}
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				follow(item)
			}
		case map[string]any:
			delete(v, "examples") // they are not validated, and most of the text
			if ref, ok := v["$ref"].(string); ok {
				kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
				of, _ := used[kind].(map[string]any)
				if of == nil {
					of = map[string]any{}
					used[kind] = of
				}
				if _, done := of[name]; !done {
					all, _ := components[kind].(map[string]any)
					if kind == "examples" {
						return
					}
					of[name] = all[name]
					follow(all[name])
				}
			}
			for _, item := range v {
				follow(item)
			}
		}
	}
	follow(kept)
	return json.Marshal(map[string]any{"openapi": doc["openapi"], "info": map[string]any{"title": "GitHub", "version": source}, "paths": kept, "components": used})
}

// mend puts the description of one installation where the list has a copy in which the account must be a person and an
// enterprise at once: so it is in this version of the package, and not in GitHub's own text.
func mend(operation map[string]any) {
	at := any(operation)
	for _, key := range []string{"responses", "200", "content", "application/json", "schema"} {
		m, ok := at.(map[string]any)
		if !ok {
			return
		}
		at = m[key]
	}
	if schema, ok := at.(map[string]any); ok {
		schema["items"] = map[string]any{"$ref": "#/components/schemas/installation"}
	}
}

// shape is a route without the names of its parameters: the double calls some otherwise.
func shape(route string) string {
	var b strings.Builder
	depth := 0
	for _, r := range route {
		switch {
		case r == '{':
			depth++
			b.WriteString("{}")
		case r == '}':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
