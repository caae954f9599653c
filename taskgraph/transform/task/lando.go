package task

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func landoShape() schema.Type {
	text, texts := schema.String(), schema.List(schema.String())
	pairs := schema.List(texts)
	bump := schema.List(schema.Strict(
		schema.Req("name", text), schema.Req("path", text), schema.Req("l10n-repo-url", text), schema.Req("l10n-repo-target-branch", text),
		schema.Req("platform-configs", schema.List(schema.Strict(schema.Req("platforms", texts), schema.Req("path", text), schema.Opt("format", text)))),
		schema.Opt("ignore-config", schema.Any()),
	))
	version := schema.List(schema.Strict(schema.Req("filename", text), schema.Req("version-bump", text), schema.Opt("new-suffix", text)))
	loose := schema.List(schema.Strict(schema.Req("filename", text), schema.Opt("version-bump", text), schema.Opt("new-suffix", text)))
	merge := func(more ...schema.Field) schema.Type {
		return schema.Strict(append([]schema.Field{schema.Req("to-branch", text), schema.Req("fetch-version-from", text), schema.Opt("to-revision", text)}, more...)...)
	}
	replacements := schema.Opt("replacements", pairs)
	action := schema.Open(
		schema.Opt("android-l10n-import", schema.Strict(schema.Req("from-repo-url", text), schema.Req("toml-info", schema.List(schema.Strict(schema.Req("toml-path", text), schema.Req("dest-path", text)))))),
		schema.Opt("android-l10n-sync", schema.Strict(schema.Req("from-branch", text), schema.Req("toml-info", schema.List(schema.Strict(schema.Req("toml-path", text)))))),
		schema.Opt("l10n-bump", bump),
		schema.Opt("tag", schema.Strict(schema.Req("types", schema.List(schema.Enum("buildN", "release"))), schema.Req("hg-repo-url", text))),
		schema.Opt("version-bump", schema.Strict(schema.Req("bump-files", texts))),
		schema.Opt("esr-bump", merge(schema.Req("version-files", version))),
		schema.Opt("main-bump", merge(schema.Req("version-files", version), replacements, schema.Opt("regex-replacements", pairs), schema.Opt("end-tag", text))),
		schema.Opt("early-to-late-beta", merge(replacements)),
		schema.Opt("uplift", merge(schema.Req("version-files", loose), schema.Req("from-branch", text), schema.Opt("from-revision", text),
			replacements, schema.Opt("base-tag", text), schema.Opt("end-tag", text), schema.Opt("l10n-bump-info", bump))),
	)
	return schema.Open(
		schema.Req("lando-repo", text), schema.Req("actions", schema.List(action)), schema.Opt("ignore-closed-tree", schema.Bool()),
		schema.Opt("dontbuild", schema.Bool()), schema.Opt("force-dry-run", schema.Bool()), schema.Opt("matrix-rooms", texts),
	)
}

// lando is the payload of one task for Lando in the making.
type lando struct {
	c       *transform.Config
	it      *transform.Item
	payload map[string]any
	actions []any
}

// buildLando makes the payload of tasks that change a repository through Lando.
func buildLando(c *transform.Config, it *transform.Item, def *definition) error {
	worker := it.Map("worker")
	l := &lando{c: c, it: it, payload: map[string]any{"lando_repo": worker["lando-repo"]}, actions: []any{}}
	if v := worker["ignore-closed-tree"]; v != nil {
		l.payload["ignore_closed_tree"] = v
	}
	if worker["dontbuild"] == true {
		l.payload["dontbuild"] = true
	}
	if worker["force-dry-run"] == true {
		l.payload["dry_run"] = true
	}
	for _, a := range value.List(worker, "actions") {
		if err := l.act(a.(map[string]any)); err != nil {
			return err
		}
	}
	l.payload["actions"] = l.actions
	def.payload = l.payload
	def.isScriptworker()
	scopes := []string{"project:releng:lando:repo:" + value.String(worker, "lando-repo")}
	for _, a := range l.actions {
		scopes = append(scopes, "project:releng:lando:action:"+a.(string))
	}
	rooms, _ := value.Strings(worker["matrix-rooms"])
	for _, room := range rooms {
		it.Append("routes", "notify.matrix-room."+room+".on-pending", "notify.matrix-room."+room+".on-resolved")
		scopes = append(scopes, "queue:route:notify.matrix-room.*")
	}
	def.scopes = sortedScopes(def.scopes, scopes...)
	return nil
}

// act adds the parts of one entry of "actions".
func (l *lando) act(action map[string]any) error {
	for _, kind := range []struct {
		key string
		add func(info map[string]any) error
	}{
		{"android-l10n-import", l.android("android_l10n_import")},
		{"android-l10n-sync", l.android("android_l10n_sync")},
		{"tag", l.tag},
		{"version-bump", l.versionBump},
		{"esr-bump", l.merge},
		{"main-bump", l.merge},
		{"early-to-late-beta", l.merge},
		{"uplift", l.merge},
	} {
		if kind.key == "tag" { // l10n-bump stands before it, and is the one that holds a list
			if err := l.l10nBump(value.List(action, "l10n-bump")); err != nil {
				return err
			}
		}
		info := value.Map(action, kind.key)
		if len(info) == 0 {
			continue
		}
		if kind.key == "uplift" {
			info = underscored(info)
			info["merge_old_head"] = true
		}
		if err := kind.add(info); err != nil {
			return err
		}
	}
	return nil
}

func (l *lando) android(name string) func(map[string]any) error {
	return func(info map[string]any) error {
		info = underscored(info)
		info["toml_info"] = allUnderscored(value.List(info, "toml_info"))
		l.payload[name+"_info"] = info
		l.actions = append(l.actions, name)
		return nil
	}
}

func (l *lando) l10nBump(info []any) error {
	if len(info) == 0 {
		return nil
	}
	list, err := l.bumps(info)
	l.payload["l10n_bump_info"] = list
	l.actions = append(l.actions, "l10n_bump")
	return err
}

func (l *lando) bumps(info []any) ([]any, error) {
	var urls []string
	for _, e := range info {
		urls = append(urls, value.String(e.(map[string]any), "l10n-repo-url"))
	}
	if slices.Sort(urls); len(slices.Compact(urls)) > 1 {
		return nil, l.it.Errorf("worker.actions", "all files of one task must have the same l10n-repo-url")
	}
	return allUnderscored(info), nil
}

func (l *lando) tag(info map[string]any) error {
	product := value.String(l.it.Map("attributes"), "shipping_product")
	version := l.c.Params.String("version")
	if product == "" || version == "" {
		return l.it.Errorf("worker.actions", "a tag needs the attribute shipping_product and the parameter version")
	}
	base := strings.ToUpper(product) + "_" + strings.ReplaceAll(version, ".", "_")
	tags := []any{}
	types := value.List(info, "types")
	if slices.Contains(types, any("buildN")) {
		tags = append(tags, base+"_BUILD"+value.Text(l.c.Params.Get("build_number")))
	}
	if slices.Contains(types, any("release")) {
		tags = append(tags, base+"_RELEASE")
	}
	prefix := value.String(l.it.Map("worker"), "repo-param-prefix")
	l.payload["tag_info"] = map[string]any{"tags": tags, "hg_repo_url": info["hg-repo-url"], "revision": l.c.Params.Get(prefix + "head_rev")}
	l.actions = append(l.actions, "tag")
	return nil
}

func (l *lando) versionBump(info map[string]any) error {
	l.payload["version_bump_info"] = map[string]any{"next_version": l.c.Params.Get("next_version"), "files": info["bump-files"]}
	l.actions = append(l.actions, "version_bump")
	return nil
}

// merge adds what the four kinds of merge have in common.
func (l *lando) merge(info map[string]any) error {
	info = underscored(info)
	if files := value.List(info, "version_files"); info["version_files"] != nil {
		info["version_files"] = allUnderscored(files)
	}
	if list := value.List(info, "l10n_bump_info"); len(list) > 0 {
		bumps, err := l.bumps(list)
		if err != nil {
			return err
		}
		info["l10n_bump_info"] = bumps
	}
	l.payload["merge_info"] = info
	l.actions = append(l.actions, "merge_day")
	return nil
}

// underscored is m with underscores for the dashes in its keys.
func underscored(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, v := range m {
		out[strings.ReplaceAll(key, "-", "_")] = v
	}
	return out
}

func allUnderscored(list []any) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = underscored(e.(map[string]any))
	}
	return out
}
