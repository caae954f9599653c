package run

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// repositories are those the job checks out, with what its "checkout" says about them.
func (j *job) repositories() ([]config.Repository, error) {
	all, err := j.c.Repositories()
	if err != nil {
		return nil, err
	}
	wanted, ok := j.run["checkout"].(map[string]any)
	if !ok {
		if len(all) > 1 {
			return nil, j.Errorf("run.checkout", "must name the repositories to check out, since there are several")
		}
		return all, nil
	}
	keys := j.Keys("run", "checkout")
	if len(keys) == 0 {
		for key := range wanted {
			keys = append(keys, key)
		}
		slices.Sort(keys)
	}
	var out []config.Repository
	for _, prefix := range keys {
		at := slices.IndexFunc(all, func(r config.Repository) bool { return r.Prefix == prefix })
		if at < 0 {
			return nil, j.Errorf("run.checkout."+prefix, "there is no repository %q in taskgraph.repositories", prefix)
		}
		r := all[at]
		if err := j.override(&r, prefix, wanted[prefix]); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (j *job) override(r *config.Repository, prefix string, said any) error {
	fields := map[string]*string{
		"name": &r.Name, "path": &r.Path, "type": &r.Type, "base-repository": &r.BaseRepository, "head-repository": &r.HeadRepository,
		"head-ref": &r.HeadRef, "head-rev": &r.HeadRev, "ssh-secret-name": &r.SSHSecretName,
	}
	m, _ := said.(map[string]any)
	for key, v := range m {
		field := fields[strings.ReplaceAll(key, "_", "-")]
		text, ok := v.(string)
		if field == nil || !ok {
			return j.Errorf("run.checkout."+prefix+"."+key, "must be one of path, head-ref, head-rev, head-repository, base-repository, name, type, ssh-secret-name, with a string")
		}
		*field = text
	}
	return nil
}

// checkoutDir is the directory that holds all checkouts.
func (j *job) checkoutDir() string {
	switch {
	case j.isWindows():
		return "build"
	case j.isDocker():
		return j.str("workdir") + "/checkouts"
	}
	return "checkouts"
}

// sourceDir is the name of the directory of sources below checkoutDir.
func (j *job) sourceDir() string {
	if j.isWindows() {
		return "src"
	}
	return "vcs"
}

// checkout writes what run-task needs to check out repositories, and returns where to.
func (j *job) checkout(repositories []config.Repository) (string, error) {
	if os := value.String(j.worker, "os"); os != "linux" && os != "macosx" && os != "windows" {
		return "", j.Errorf("run.checkout", "checkouts do not work on %q workers", os)
	}
	base := j.checkoutDir()
	dir := base + "/" + j.sourceDir()
	store := base + "/hg-shared"
	switch {
	case j.isWindows():
		store = "y:/hg-shared"
	case j.isDocker():
		store = base + "/hg-store"
	}
	names, prefixes := map[string]any{}, []string{}
	for _, r := range repositories {
		names[r.Prefix] = r.Name
		prefixes = append(prefixes, r.Prefix)
	}
	text, err := value.CompactOrdered(prefixes, names)
	if err != nil {
		return "", err
	}
	env := j.env()
	env["HG_STORE_PATH"], env["REPOSITORIES"], env["VCS_PATH"] = store, text, dir
	for _, r := range repositories {
		prefix := strings.ToUpper(r.Prefix) + "_"
		env[prefix+"BASE_REPOSITORY"] = r.BaseRepository
		env[prefix+"HEAD_REPOSITORY"] = r.HeadRepository
		env[prefix+"HEAD_REF"] = r.HeadRef
		env[prefix+"REPOSITORY_TYPE"] = r.Type
		if r.HeadRev != "" {
			env[prefix+"HEAD_REV"] = r.HeadRev
		}
		if r.SSHSecretName != "" {
			env[prefix+"SSH_SECRET_NAME"] = r.SSHSecretName
			j.Append("scopes", "secrets:get:"+r.SSHSecretName)
		}
	}
	if j.isDocker() {
		j.worker["taskcluster-proxy"] = true
	}
	return dir, nil
}

// caches writes the caches of tools that the job uses (taskgraph-map 10.4).
func (j *job) caches() error {
	base := ".task-cache"
	if j.isDocker() {
		base = joinPath(j.str("workdir"), base)
	}
	use := j.run["use-caches"]
	if use == nil {
		use = j.c.Graph.UseCaches()
	}
	variables := map[string]string{"cargo": "CARGO_HOME", "npm": "npm_config_cache", "pip": "PIP_CACHE_DIR", "uv": "UV_CACHE_DIR"}
	for _, name := range config.Caches() {
		if !usesCache(use, name) {
			continue
		}
		dir, full := base+"/"+name, name
		if name == "checkout" {
			if !j.checksOut() {
				continue
			}
			var err error
			if full, err = j.checkoutCache(); err != nil {
				return err
			}
			dir = j.checkoutDir()
		} else {
			j.env()[variables[name]] = dir
		}
		if j.isDocker() {
			j.add("caches", map[string]any{"type": "persistent", "name": full, "mount-point": dir, "skip-untrusted": false})
		} else {
			j.add("mounts", map[string]any{"cache-name": full, "directory": dir})
		}
	}
	return nil
}

func usesCache(use any, name string) bool {
	if all, ok := use.(bool); ok {
		return all
	}
	list, _ := use.([]any)
	return slices.Contains(list, any(name))
}

// checkoutCache is the name of the checkouts' cache; trees with several repositories keep those
// that check out different sets apart.
func (j *job) checkoutCache() (string, error) {
	all, err := j.c.Repositories()
	if err != nil || len(all) == 1 {
		return "checkouts", err
	}
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = r.Path + "\t" + r.Prefix
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(lines), "\n")))
	return "checkouts-repos-" + hex.EncodeToString(sum[:]), nil
}
