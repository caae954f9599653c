package goldentest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Digests finds what differs only because the goldens' run-task had other content: the part of
// cache names that is its digest, the hashes of the images that include it, and their digests as
// cached tasks. Every other digest must be equal.
func Digests(want, got *graph.Graph) *strings.Replacer {
	pairs := []string{"c8442a4dac36bbb86016", cacheHash(got)}
	for _, label := range []string{"docker-image-base", "docker-image-alias-of-base", "docker-image-child"} { // what includes run-task, and its child
		t, other := want.Task(label), got.Task(label)
		if t == nil || other == nil {
			continue
		}
		for _, of := range []func(*graph.Task) string{contextHash, cacheDigest} {
			if a, b := of(t), of(other); a != "" && b != "" && a != b {
				pairs = append(pairs, a, b)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// runTaskCache finds the digest of run-task in the name of a cache.
var runTaskCache = regexp.MustCompile(`-v3-([0-9a-f]{20})`)

func cacheHash(g *graph.Graph) string {
	for _, t := range g.All() {
		payload, _ := t.Definition["payload"].(map[string]any)
		cache, _ := payload["cache"].(map[string]any)
		names, _ := cache["task-reference"].(map[string]any)
		if names == nil {
			names = cache
		}
		for name := range names {
			if m := runTaskCache.FindStringSubmatch(name); m != nil {
				return m[1]
			}
		}
	}
	return ""
}

func contextHash(t *graph.Task) string {
	payload, _ := t.Definition["payload"].(map[string]any)
	env, _ := payload["env"].(map[string]any)
	hash, _ := env["HASH"].(string)
	return hash
}

func cacheDigest(t *graph.Task) string {
	cached, _ := t.Attributes["cached_task"].(map[string]any)
	digest, _ := cached["digest"].(string)
	return digest
}

// ByLabel is Loose for a graph by task id: wherever an id of its tasks stands, their label stands
// instead, so that two programs that give ids as they like can be compared. Lists of ids are
// sorted, as ids decide their order.
func ByLabel(t testing.TB, g *graph.Graph) map[string]any {
	t.Helper()
	var pairs []string
	for id, task := range g.All() {
		pairs = append(pairs, id, "<"+task.Label+">")
	}
	b, err := json.Marshal(Loose(t, g))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(strings.NewReplacer(pairs...).Replace(string(b))), &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range out {
		def, _ := v.(map[string]any)["task"].(map[string]any)
		if ids, ok := def["dependencies"].([]any); ok {
			slices.SortFunc(ids, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
	}
	return out
}
