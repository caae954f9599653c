// Package fetch makes tasks that download something once for all: the transform
// taskgraph.transforms.fetch (taskgraph-map 11.5).
package fetch

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/cached"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// cacheType is the type under which fetched content is cached.
const cacheType = "content.v1"

// Transform returns the transform.
func Transform() transform.Transform {
	m := maker{kinds: kinds()}
	return transform.New("taskgraph.transforms.fetch:transforms", transform.Check(Shape()), m.task)
}

// Shape is the shape of an entry of a kind of fetches.
func Shape() *schema.Object {
	text := schema.String()
	return schema.Strict(
		schema.Req("name", text),
		schema.Req("description", text),
		schema.Req("fetch", schema.Open(schema.Req("type", text))),
		schema.Opt("task-from", text),
		schema.Opt("expires-after", text),
		schema.Opt("docker-image", schema.Any()),
		schema.Opt("fetch-alias", text),
		schema.Opt("artifact-prefix", text),
		schema.Opt("attributes", schema.Map(schema.Any())),
	)
}

// Kinds are the shapes of "fetch" by fetch.type.
func Kinds() map[string]schema.Type {
	out := map[string]schema.Type{}
	for name, k := range kinds() {
		out[name] = k.shape
	}
	return out
}

// content is what a way of fetching gives: the command and what identifies its result.
type content struct {
	command  []any
	artifact string
	secret   string
	env      map[string]any
	digest   []string
}

// kind is a way of fetching.
type kind struct {
	shape schema.Type
	make  func(c *transform.Config, it *transform.Item, m map[string]any) (*content, error)
}

type maker struct{ kinds map[string]kind }

func kinds() map[string]kind {
	text := schema.String()
	static := schema.Open(
		schema.Req("type", text), schema.Req("url", text), schema.Req("sha256", text), schema.Req("size", schema.Int()),
		schema.Opt("gpg-signature", schema.Strict(schema.Req("sig-url", text), schema.Req("key-path", text))),
		schema.Opt("artifact-name", text), schema.Opt("strip-components", schema.Int()), schema.Opt("add-prefix", text),
		schema.Opt("headers", schema.Map(text)),
	)
	git := schema.Open(
		schema.Req("type", text), schema.Req("repo", text), schema.Req("revision", text), schema.Opt("include-dot-git", schema.Bool()),
		schema.Opt("artifact-name", text), schema.Opt("path-prefix", text), schema.Opt("ssh-key", text),
	)
	return map[string]kind{"static-url": {static, staticURL}, "git": {git, gitArchive}}
}

func (m maker) task(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	fetch := it.Map("fetch")
	k, ok := m.kinds[value.String(fetch, "type")]
	if !ok {
		return it.Errorf("fetch.type", "there is no way of fetching called %q; known are %s", fetch["type"], strings.Join(slices.Sorted(maps.Keys(m.kinds)), ", "))
	}
	if err := it.Check(k.shape, fetch, "fetch"); err != nil {
		return err
	}
	made, err := k.make(c, it, fetch)
	if err != nil {
		return err
	}
	name := it.String("name")
	label := "fetch-" + name
	it.Become(describe(c, it, made), "label", "run", "worker", "attributes", "worker-type")
	cached.Add(c, it, cacheType, strings.Replace(label, c.Kind+"-", "", 1), made.digest)
	emit(it)
	return nil
}

// artifactsDir is where fetch-content leaves what it got.
const artifactsDir = "/builds/worker/artifacts"

func describe(c *transform.Config, it *transform.Item, made *content) map[string]any {
	name := it.String("name")
	prefix := "public"
	if p := it.String("artifact-prefix"); p != "" {
		prefix = p
	}
	attributes := map[string]any{}
	maps.Copy(attributes, it.Map("attributes"))
	attributes["fetch-artifact"] = strings.TrimSuffix(prefix, "/") + "/" + made.artifact
	if alias := it.String("fetch-alias"); alias != "" {
		attributes["fetch-alias"] = alias
	}
	expires := it.String("expires-after")
	if expires == "" {
		if expires = c.Graph.ExpiresAfter(); c.Level() == "3" {
			expires = "1000 years"
		}
	}
	image := it.Get("docker-image")
	if image == nil {
		image = map[string]any{"in-tree": "fetch"}
	}
	made.env["UPLOAD_DIR"] = artifactsDir
	worker := map[string]any{
		"chain-of-trust": true, "docker-image": image, "env": made.env, "max-run-time": int64(900),
		"artifacts": []any{map[string]any{"type": "directory", "name": prefix, "path": artifactsDir}},
	}
	description := map[string]any{
		"attributes": attributes, "name": name, "description": it.Get("description"), "expires-after": expires,
		"label": "fetch-" + name, "run-on-projects": []any{},
		"run":         map[string]any{"using": "run-task", "checkout": false, "command": made.command},
		"worker-type": "images", "worker": worker,
	}
	if c.Graph.HasTreeherder() {
		description["treeherder"] = map[string]any{"symbol": "Fetch(" + name + ")", "kind": "build", "platform": "fetch/opt", "tier": int64(1)}
	}
	if made.secret != "" {
		description["scopes"] = []any{"secrets:get:" + made.secret}
		worker["taskcluster-proxy"] = true
	}
	return description
}

func staticURL(c *transform.Config, it *transform.Item, m map[string]any) (*content, error) {
	url := value.String(m, "url")
	artifact := value.String(m, "artifact-name")
	if artifact == "" {
		artifact = url[strings.LastIndexByte(url, '/')+1:]
	}
	size, _ := m["size"].(int64)
	digest := []string{"--sha256", value.String(m, "sha256"), "--size", strconv.FormatInt(size, 10)}
	if n, _ := m["strip-components"].(int64); n != 0 {
		digest = append(digest, "--strip-components", strconv.FormatInt(n, 10))
	}
	if p := value.String(m, "add-prefix"); p != "" {
		digest = append(digest, "--add-prefix", p)
	}
	out := &content{artifact: artifact, env: map[string]any{}, digest: append(slices.Clone(digest), artifact)}
	out.command = append([]any{"fetch-content", "static-url"}, value.Anys(digest)...)
	if signature := value.Map(m, "gpg-signature"); signature != nil {
		if err := signed(c, it, out, url, signature); err != nil {
			return nil, err
		}
	}
	for _, key := range it.Keys("fetch", "headers") {
		out.command = append(out.command, "-H", key+":"+value.String(value.Map(m, "headers"), key))
	}
	out.command = append(out.command, url, artifactsDir+"/"+artifact)
	return out, nil
}

// signed makes fetch-content check a signature with the keys in a file of the tree. It is no part
// of the digest: the sha256 says which content it is.
func signed(c *transform.Config, it *transform.Item, out *content, url string, signature map[string]any) error {
	address, err := value.Format(value.String(signature, "sig-url"), value.NameMap{"url": url})
	if err != nil {
		return it.Errorf("fetch.gpg-signature.sig-url", "%v", err)
	}
	name := path.Clean(value.String(signature, "key-path"))
	keys, err := fs.ReadFile(c.Tree, name)
	if err != nil {
		return it.Errorf("fetch.gpg-signature.key-path", "the tree has no file %s with public keys", name)
	}
	out.env["FETCH_GPG_KEY"] = string(keys)
	out.command = append(out.command, "--gpg-sig-url", address, "--gpg-key-env", "FETCH_GPG_KEY")
	return nil
}

var sha1 = regexp.MustCompile(`^[0-9a-fA-F]{40}`)

func gitArchive(_ *transform.Config, it *transform.Item, m map[string]any) (*content, error) {
	repo, revision := value.String(m, "repo"), value.String(m, "revision")
	prefix := value.String(m, "path-prefix")
	if prefix == "" {
		prefix = strings.TrimRight(repo, "/")
		prefix = prefix[strings.LastIndexByte(prefix, '/')+1:]
	}
	artifact := value.String(m, "artifact-name")
	if artifact == "" {
		artifact = prefix + ".tar.zst"
	}
	if !sha1.MatchString(revision) {
		return nil, it.Errorf("fetch.revision", "must be the full hash of a commit (40 hex digits), not %q", revision)
	}
	out := &content{artifact: artifact, env: map[string]any{}, digest: []string{revision, prefix, artifact}, secret: value.String(m, "ssh-key")}
	out.command = []any{"fetch-content", "git-checkout-archive", "--path-prefix", prefix, repo, revision, artifactsDir + "/" + artifact}
	if out.secret != "" {
		out.command = append(out.command, "--ssh-key-secret", out.secret)
	}
	if m["include-dot-git"] == true {
		out.command = append(out.command, "--include-dot-git")
		out.digest = append(out.digest, ".git")
	}
	return out, nil
}
