package task

import (
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// maxSymbol is the longest symbol or group Treeherder takes.
const maxSymbol = 25

// treeherder writes extra.treeherder and the route to the push (taskgraph-map 8.3).
func treeherder(c *transform.Config, it *transform.Item) error {
	said := it.Get("treeherder")
	if !value.Truthy(said) {
		return nil
	}
	th, _ := said.(map[string]any)
	platform := orText(value.String(th, "platform"), "default/opt")
	machine, collection, ok := strings.Cut(platform, "/")
	if !ok {
		return it.Errorf("treeherder.platform", "must be a platform and a collection with a slash between, not %q", platform)
	}
	joined, ok := th["symbol"].(string)
	if !ok {
		joined = initials(c.Kind)
	}
	group, symbol, ok := splitSymbol(joined)
	if !ok {
		return it.Errorf("treeherder.symbol", "must be a symbol or group(symbol), not %q", joined)
	}
	if len([]rune(symbol)) > maxSymbol || len([]rune(group)) > maxSymbol {
		return it.Errorf("treeherder.symbol", "group and symbol may each have %d characters: %q", maxSymbol, joined)
	}
	extra := it.Own("extra")
	out := it.Own("extra", "treeherder")
	out["machine"] = c.Pair("platform", machine)
	out["collection"] = collectionOf(c, collection)
	if group != noGroup {
		name, ok := c.Graph.GroupName(group)
		if !ok {
			return it.Errorf("treeherder.symbol", "the group %q has no name; add it to treeherder.group-names in %s/config.yml", group, c.Graph.Root)
		}
		out["groupSymbol"], out["groupName"] = group, name
	}
	out["symbol"] = symbol
	out["jobKind"] = orText(value.String(th, "kind"), jobKind(c.Kind))
	if out["tier"] = th["tier"]; out["tier"] == nil {
		out["tier"] = int64(1)
	}
	if _, ok := extra["treeherder-platform"]; !ok {
		extra["treeherder-platform"] = platform
	}
	it.Append("routes", pushRoute(c))
	return nil
}

// collectionOf is {collection: true}, one for all tasks of it.
func collectionOf(c *transform.Config, collection string) any {
	var buf [64]byte
	key := transform.Field(append(buf[:0], "collection"...), collection)
	if v, ok := c.Share(key); ok {
		return v
	}
	return c.Keep(key, map[string]any{collection: true})
}

// pushRoute is the route of everything that Treeherder shows of the push.
func pushRoute(c *transform.Config) any {
	key := []byte("push route")
	if v, ok := c.Share(key); ok {
		return v
	}
	return c.Keep(key, "tc-treeherder.v2."+routeProject(c)+"."+c.Params.String("head_rev")+"."+c.Params.String("pushlog_id"))
}

// jobKind is the kind of job that a kind's name tells.
func jobKind(kind string) string {
	switch {
	case strings.Contains(kind, "build"):
		return "build"
	case strings.Contains(kind, "test"):
		return "test"
	}
	return "other"
}

// initials are the first letters of the words of a kind's name, in capitals.
func initials(kind string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(kind, "-") {
		for _, r := range word {
			b.WriteString(strings.ToUpper(string(r)))
			break
		}
	}
	return b.String()
}

// noGroup is the group of a bare symbol.
const noGroup = "?"

// splitSymbol splits "group(symbol)".
func splitSymbol(joined string) (group, symbol string, ok bool) {
	at := strings.IndexByte(joined, '(')
	if at < 0 {
		return noGroup, joined, true
	}
	symbol, ok = strings.CutSuffix(joined[at+1:], ")")
	if !ok || strings.ContainsRune(symbol, ')') {
		return "", "", false
	}
	return joined[:at], symbol, true
}

// routeProject is the project in routes: for pull requests that of the base repository.
func routeProject(c *transform.Config) string {
	if !c.IsPullRequest() {
		return c.Params.String("project")
	}
	base := c.Params.String("base_repository")
	base = base[strings.LastIndexByte(base, '/')+1:]
	return strings.TrimSuffix(base, ".git") + "-pr"
}

// pushLink is the link to the push behind the description of a task that Treeherder shows.
func pushLink(c *transform.Config, it *transform.Item) string {
	if !value.Truthy(it.Map("extra")["treeherder"]) {
		return ""
	}
	if v, ok := c.Share([]byte("push link")); ok {
		return v.(string)
	}
	project := c.Params.String("project")
	if c.IsPullRequest() {
		project += "-pr"
	}
	link := " ([Treeherder push](https://treeherder.mozilla.org/#/jobs?repo=" + project + "&revision=" + c.Params.String("head_rev") + "))"
	return c.Keep([]byte("push link"), link).(string)
}

// rankOf is {"rank": rank}, one for all tasks of that rank.
func rankOf(c *transform.Config, rank any) any {
	n, ok := rank.(int64)
	if !ok {
		return map[string]any{"rank": rank}
	}
	var buf [32]byte
	key := strconv.AppendInt(append(buf[:0], "rank "...), n, 10)
	if v, ok := c.Share(key); ok {
		return v
	}
	return c.Keep(key, map[string]any{"rank": rank})
}

// indexRoutes writes the rank and the index routes (taskgraph-map 8.4).
func indexRoutes(c *transform.Config, it *transform.Item) error {
	index := it.Map("index")
	built := c.Params.Int("build_date")
	rank := index["rank"]
	switch rank {
	case nil, "by-tier":
		tier, ok := value.Map(it.Map("extra"), "treeherder")["tier"].(int64)
		if rank = any(int64(0)); ok && tier <= 1 {
			rank = built
		}
	case "build_date":
		rank = built
	}
	if _, has := it.Map("extra")["index"]; has {
		it.Own("extra", "index")["rank"] = rank
	} else {
		it.Own("extra")["index"] = rankOf(c, rank)
	}
	if len(index) == 0 {
		return nil
	}
	if kind := value.String(index, "type"); kind != "" && kind != "generic" {
		return it.Errorf("index.type", "there is no index type %q; known is generic", kind)
	}
	product, job := value.String(index, "product"), value.String(index, "job-name")
	if product == "" || job == "" {
		return it.Errorf("index", "needs both a product and a job-name")
	}
	if products := c.Graph.IndexProducts(); !slices.Contains(products, product) {
		return it.Errorf("index.product", "the product %q is not among index.products in %s/config.yml (%s)", product, c.Graph.Root, strings.Join(products, ", "))
	}
	base := "index." + c.Graph.TrustDomain() + ".v2." + c.Params.String("project") + "."
	end := "." + product + "." + job
	it.Append("routes",
		base+"latest"+end,
		base+"pushdate."+c.BuildDateLong()+end,
		base+"pushlog-id."+c.Params.String("pushlog_id")+end,
		base+"revision."+c.Params.String("head_rev")+end)
	it.Delete("index")
	return nil
}
