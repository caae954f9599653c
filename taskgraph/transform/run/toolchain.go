package run

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// toolchainCache is the type under which toolchains are cached.
const toolchainCache = "toolchains.v3"

func toolchainShape() schema.Type {
	text := schema.String()
	return schema.Open(
		schema.Req("using", schema.Enum("toolchain-script")),
		schema.Req("script", text),
		schema.Req("toolchain-artifact", text),
		schema.Req("workdir", text),
		schema.Opt("arguments", schema.List(text)),
		schema.Opt("resources", schema.List(text)),
		schema.Opt("toolchain-alias", schema.OneOf(text, schema.List(text))),
		schema.Opt("toolchain-env", schema.Map(schema.Any())),
	)
}

// toolchain runs a script that builds a tool and caches its result (taskgraph-map 10.5).
func toolchain(r runner, j *job) error {
	j.worker["chain-of-trust"] = true
	if _, ok := j.worker["docker-image"]; !ok && j.isDocker() {
		j.worker["docker-image"] = map[string]any{"in-tree": "toolchain-build"}
	}
	env := j.env()
	j.publish(env)
	env["MOZ_BUILD_DATE"] = j.c.Params.Get("moz_build_date")
	env["MOZ_SCM_LEVEL"] = j.c.Level()
	attributes := j.Own("attributes")
	for _, key := range []string{"toolchain-artifact", "toolchain-alias", "toolchain-env"} {
		if v, ok := j.run[key]; ok {
			attributes[key] = v
			delete(j.run, key)
		}
	}
	script := joinPath("taskcluster/scripts/toolchain/", j.str("script"))
	if !j.c.Fast {
		digest, err := j.digestData(script, value.String(attributes, "toolchain-artifact"))
		if err != nil {
			return err
		}
		j.Set("cache", map[string]any{"type": toolchainCache, "name": strings.Replace(j.String("label"), j.c.Kind+"-", "", 1), "digest-data": digest})
	}
	j.run["using"] = "run-task"
	j.run["cwd"] = "{checkout}/.."
	if strings.HasSuffix(script, ".ps1") {
		j.run["exec-with"] = "powershell"
	}
	j.run["command"] = j.toolchainCommand(j.sourceDir() + "/" + path.Clean(script))
	for _, key := range []string{"script", "arguments", "resources"} {
		delete(j.run, key)
	}
	return r.dispatch(j)
}

// publish makes the worker upload public/build unless the task says how.
func (j *job) publish(env map[string]any) {
	for _, a := range value.List(j.worker, "artifacts") {
		if m, ok := a.(map[string]any); ok && m["name"] == "public/build" {
			return
		}
	}
	prefix := transform.ArtifactPrefix(j.Map("attributes"))
	dir := prefix
	if j.isDocker() {
		dir = j.str("workdir") + "/artifacts/"
		env["UPLOAD_DIR"] = dir
	}
	j.add("artifacts", map[string]any{"name": prefix, "path": dir, "type": "directory"})
}

// toolchainCommand is the script with its arguments: a list for docker-worker, where no shell
// stands between; one line with the arguments quoted elsewhere.
func (j *job) toolchainCommand(script string) any {
	arguments := value.List(j.run, "arguments")
	if j.isDocker() {
		return append([]any{script}, arguments...)
	}
	line := script
	for _, a := range arguments {
		line += " " + quote(a.(string))
	}
	return line
}

var needsQuotes = regexp.MustCompile("[\\\\\t\r\n '\"#<>&|`(){}$;*?]")

// quote puts s in single quotes if a shell would not take it as it is.
func quote(s string) string {
	if s != "" && !needsQuotes.MatchString(s) && !strings.HasPrefix(s, "~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// digestData is what a change of must give the toolchain a new place in the index.
func (j *job) digestData(script, artifact string) ([]any, error) {
	patterns, _ := value.Strings(j.run["resources"])
	hash, err := hashFiles(j.c.Shared, append(slices.Clone(patterns), path.Clean(script)))
	if err != nil {
		return nil, j.Errorf("run", "%v", err)
	}
	data := []any{hash, artifact}
	if image := value.String(value.Map(j.worker, "docker-image"), "in-tree"); image != "" {
		data = append(data, image)
	}
	return append(data, value.List(j.run, "arguments")...), nil
}

type filesOf struct{}
type fileHashOf struct{}

// hashFiles is a digest of the paths and contents of all files of the tree that match one of
// patterns. A pattern that matches nothing is an error.
func hashFiles(s *transform.Shared, patterns []string) (string, error) {
	v, err := s.Memo(filesOf{}, "", func() (any, error) { return listFiles(s.Tree) })
	if err != nil {
		return "", err
	}
	found := map[string]bool{}
	for _, p := range patterns {
		names := glob.All(p, v.([]string))
		for _, name := range names {
			found[name] = true
		}
		if len(names) == 0 {
			return "", fmt.Errorf("%q matches no file of the tree", p)
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		sum, err := s.Memo(fileHashOf{}, name, func() (any, error) {
			b, err := fs.ReadFile(s.Tree, name)
			sum := sha256.Sum256(b)
			return hex.EncodeToString(sum[:]), err
		})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s\n", sum, name)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// listFiles lists the files of the tree, version control's own left out.
func listFiles(tree fs.FS) ([]string, error) {
	var out []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".hg"):
			return fs.SkipDir
		case !d.IsDir():
			out = append(out, name)
		}
		return nil
	})
	return out, err
}

func indexSearchShape() schema.Type {
	return schema.Strict(schema.Req("using", schema.Enum("index-search")), schema.Req("index-search", schema.List(schema.String())))
}

// indexSearch borrows a task of another graph: the optimization finds it in the index.
func indexSearch(_ runner, j *job) error {
	var paths []any
	for _, p := range value.List(j.run, "index-search") {
		text, err := value.Format(p.(string), j.c.Names)
		if err != nil {
			return j.Errorf("run.index-search", "%v", err)
		}
		paths = append(paths, text)
	}
	j.Set("optimization", map[string]any{"index-search": orEmpty(paths)})
	return nil
}
