package task

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// scriptworkers are the implementations that release automation runs: those of the package
// mozilla-taskgraph (taskgraph-map 9.3). All tag their tasks with the implementation
// "scriptworker", which verification of the chain of trust looks for.
func scriptworkers() map[string]builder {
	return map[string]builder{
		"scriptworker-bitrise":        {bitriseShape(), buildBitrise},
		"scriptworker-shipit":         {shipitShape(), buildShipit},
		"scriptworker-signing":        {signingShape(), buildSigning},
		"scriptworker-lando":          {landoShape(), buildLando},
		"scriptworker-beetmover-data": {beetmoverDataShape(), buildBeetmoverData},
	}
}

func (def *definition) isScriptworker() {
	value.Map(def.values, "tags")["worker-implementation"] = "scriptworker"
}

// scopePrefix is the first part of scriptworkers' scopes.
func scopePrefix(c *transform.Config, it *transform.Item) (string, error) {
	prefix, _ := c.Graph.Get("scriptworker.scope-prefix").(string)
	if prefix == "" {
		return "", it.Errorf("worker.implementation", "needs scriptworker.scope-prefix in %s/config.yml, such as project:releng", c.Graph.Root)
	}
	return prefix, nil
}

// sortedScopes are scopes without those given twice, with more.
func sortedScopes(scopes []any, more ...string) []any {
	words, _ := value.Strings(scopes)
	words = append(words, more...)
	slices.Sort(words)
	return value.Anys(slices.Compact(words))
}

func shipitShape() schema.Type { return schema.Open(schema.Req("release-name", schema.String())) }

func buildShipit(_ *transform.Config, it *transform.Item, def *definition) error {
	def.isScriptworker()
	def.payload = map[string]any{"release_name": it.Map("worker")["release-name"]}
	return nil
}

func signingShape() schema.Type {
	texts := schema.List(schema.String())
	return schema.Open(
		schema.Req("signing-type", schema.String()),
		schema.Req("upstream-artifacts", schema.List(schema.Open(
			schema.Req("taskId", schema.Reference()), schema.Req("taskType", schema.String()),
			schema.Req("paths", texts), schema.Req("formats", texts), schema.Opt("authenticode_comment", schema.String()),
		))),
		schema.Opt("max-run-time", schema.Int()),
	)
}

// buildSigning makes the payload of a signing task, and the attribute that tells later tasks
// which signed files there will be.
func buildSigning(c *transform.Config, it *transform.Item, def *definition) error {
	prefix, err := scopePrefix(c, it)
	if err != nil {
		return err
	}
	def.isScriptworker()
	worker := it.Map("worker")
	payload := map[string]any{"upstreamArtifacts": worker["upstream-artifacts"]}
	if v, ok := worker["max-run-time"]; ok {
		payload["maxRunTime"] = v
	}
	def.payload = payload
	def.scopes = sortedScopes(def.scopes, prefix+":signing:cert:"+value.String(worker, "signing-type"))
	files, _ := value.Strings(it.Map("attributes")["release_artifacts"])
	for _, u := range value.List(worker, "upstream-artifacts") {
		formats := value.List(u.(map[string]any), "formats")
		paths, _ := value.Strings(u.(map[string]any)["paths"])
		for _, p := range paths {
			files = append(files, strings.ReplaceAll(p, ".dmg", signedAs(p)))
			if slices.Contains(formats, any("gcp_prod_autograph_gpg")) {
				files = append(files, p+".asc")
			}
		}
	}
	slices.Sort(files)
	it.Own("attributes")["release_artifacts"] = value.Anys(slices.Compact(files))
	return nil
}

// signedAs is what ".dmg" becomes in the name of a signed file: disk images come back as archives.
func signedAs(path string) string {
	if strings.HasSuffix(path, ".dmg") {
		return ".tar.gz"
	}
	return ".dmg"
}

func beetmoverDataShape() schema.Type {
	text := schema.String()
	return schema.Open(
		schema.Req("app-name", text), schema.Req("bucket", text), schema.Req("project", text),
		schema.Req("data-map", schema.List(schema.Strict(
			schema.Req("data", text), schema.Req("content-type", text), schema.Req("destinations", schema.List(schema.Reference())),
		))),
		schema.Opt("dry-run", schema.Bool()),
	)
}

func buildBeetmoverData(_ *transform.Config, it *transform.Item, def *definition) error {
	def.isScriptworker()
	worker := it.Map("worker")
	list := []any{}
	for _, e := range value.List(worker, "data-map") {
		m := e.(map[string]any)
		if _, err := base64.StdEncoding.DecodeString(value.String(m, "data")); err != nil {
			return it.Errorf("worker.data-map", "data must be in base64: %v", err)
		}
		list = append(list, map[string]any{"data": m["data"], "contentType": m["content-type"], "destinations": m["destinations"]})
	}
	def.payload = map[string]any{"releaseProperties": map[string]any{"appName": worker["app-name"]}, "dataMap": list}
	base := "project:" + value.String(worker, "project") + ":releng:beetmover:"
	def.scopes = append(def.scopes, base+"bucket:"+value.String(worker, "bucket"), base+"action:upload-data")
	return nil
}

func bitriseShape() schema.Type {
	workflow := schema.Map(schema.List(schema.Map(schema.Reference())))
	return schema.Open(schema.Req("bitrise", schema.Open(
		schema.Req("app", schema.String()),
		schema.Req("workflows", schema.List(schema.OneOf(schema.String(), workflow))),
		schema.Opt("artifact_prefix", schema.String()),
	)))
}

// buildBitrise makes the payload that starts workflows on Bitrise.
func buildBitrise(c *transform.Config, it *transform.Item, def *definition) error {
	prefix, err := scopePrefix(c, it)
	if err != nil {
		return err
	}
	def.isScriptworker()
	bitrise := value.Map(it.Map("worker"), "bitrise")
	var ids []string
	permutations := map[string]any{}
	for at, w := range value.List(bitrise, "workflows") {
		if id, ok := w.(string); ok {
			ids = append(ids, id)
			continue
		}
		for id, list := range w.(map[string]any) {
			ids = append(ids, id)
			permutations[id] = value.Append(value.List(permutations, id), environments(it, at, id, list)...)
		}
	}
	slices.Sort(ids)
	def.scopes = append(def.scopes, prefix+":bitrise:app:"+value.String(bitrise, "app"))
	for _, id := range slices.Compact(ids) {
		def.scopes = append(def.scopes, prefix+":bitrise:workflow:"+id)
	}
	payload := map[string]any{"global_params": bitriseParams(c)}
	if len(permutations) > 0 {
		payload["workflow_params"] = permutations
	}
	if p := value.String(bitrise, "artifact_prefix"); p != "" {
		payload["artifact_prefix"] = p
	}
	def.payload = payload
	return nil
}

// environments are the runs of one workflow, each with its variables in the order of the file.
func environments(it *transform.Item, at int, id string, list any) []any {
	runs, _ := list.([]any)
	out := make([]any, 0, len(runs))
	for i, r := range runs {
		variables := r.(map[string]any)
		mapped := []any{}
		for _, name := range it.KeysOf(variables, "worker", "bitrise", "workflows", strconv.Itoa(at), id, strconv.Itoa(i)) {
			mapped = append(mapped, map[string]any{"mapped_to": name, "value": variables[name]})
		}
		out = append(out, map[string]any{"environments": mapped})
	}
	return out
}

// bitriseParams tells a workflow about the push.
func bitriseParams(c *transform.Config) map[string]any {
	out := map[string]any{"commit_hash": c.Params.String("head_rev"), "branch_repo_owner": c.Params.String("head_repository")}
	put := func(name string, v any) {
		if value.Truthy(v) {
			out[name] = v
		}
	}
	put("branch", refOf(c.Params.String("head_ref"), "heads"))
	put("tag", refOf(c.Params.String("head_tag"), "tags"))
	put("commit_message", c.Params.Get("commit_message"))
	put("pull_request_id", c.Params.Get("pull_request_number"))
	if c.Params.String("tasks_for") == "github-pull-request" {
		out["pull_request_author"] = c.Params.String("owner")
		put("branch_dest", refOf(c.Params.String("base_ref"), "heads"))
		put("branch_dest_repo_owner", c.Params.String("base_repository"))
	}
	return out
}

// refOf is the short name of a ref of the kind wanted, "" for one of another kind.
func refOf(ref, kind string) string {
	if short, ok := strings.CutPrefix(ref, "refs/"+kind+"/"); ok {
		return short
	}
	if strings.HasPrefix(ref, "refs/") {
		return ""
	}
	return ref
}
