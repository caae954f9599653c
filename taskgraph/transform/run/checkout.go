package run

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/transform"
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
		"prefix": &r.Prefix, "name": &r.Name, "path": &r.Path, "type": &r.Type, "base-repository": &r.BaseRepository, "head-repository": &r.HeadRepository,
		"head-ref": &r.HeadRef, "head-rev": &r.HeadRev, "ssh-secret-name": &r.SSHSecretName,
	}
	m, _ := said.(map[string]any)
	for key, v := range m {
		field := fields[strings.ReplaceAll(key, "_", "-")]
		text, ok := v.(string)
		if field == nil || !ok {
			return j.Errorf("run.checkout."+prefix+"."+key, "must be one of path, prefix, head-ref, head-rev, head-repository, base-repository, name, type, ssh-secret-name, with a string")
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

// checkoutSet is what run-task is told of a job's checkouts. Jobs with the same ones share it.
type checkoutSet struct {
	dir     string
	options []any // for run-task's command line
	scopes  []any
	names   []string // of environment variables
	values  []any    // of them
}

func (s *checkoutSet) set(name string, v any) {
	s.names, s.values = append(s.names, name), append(s.values, v)
}

// checkout writes what run-task needs to check out the job's repositories.
func (j *job) checkout() (*checkoutSet, error) {
	s, err := j.checkouts()
	if err != nil {
		return nil, err
	}
	env := j.env()
	for i, name := range s.names {
		env[name] = s.values[i]
	}
	if len(s.scopes) > 0 {
		j.Append("scopes", s.scopes...)
	}
	if j.isDocker() {
		j.worker["taskcluster-proxy"] = true
	}
	return s, nil
}

// checkouts finds or makes the job's set. Only those of jobs that check out all repositories as the
// configuration has them are shared.
func (j *job) checkouts() (*checkoutSet, error) {
	os := value.String(j.worker, "os")
	var buf [256]byte
	key := transform.Field(append(buf[:0], "checkouts"...), os)
	key = transform.Field(transform.Field(key, j.implementation), j.str("workdir"))
	_, own := j.run["checkout"].(map[string]any)
	if !own {
		if v, ok := j.c.Share(key); ok {
			return v.(*checkoutSet), nil
		}
	}
	repositories, err := j.repositories()
	if err != nil {
		return nil, err
	}
	if os != "linux" && os != "macosx" && os != "windows" {
		return nil, j.Errorf("run.checkout", "checkouts do not work on %q workers", os)
	}
	s, err := j.checkoutsOf(repositories)
	if err != nil || own {
		return s, err
	}
	return j.c.Keep(key, s).(*checkoutSet), nil
}

func (j *job) checkoutsOf(repositories []config.Repository) (*checkoutSet, error) {
	base := j.checkoutDir()
	s := &checkoutSet{dir: base + "/" + j.sourceDir()}
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
		return nil, err
	}
	s.set("HG_STORE_PATH", store)
	s.set("REPOSITORIES", text)
	s.set("VCS_PATH", s.dir)
	for _, r := range repositories {
		prefix := strings.ToUpper(r.Prefix) + "_"
		s.set(prefix+"BASE_REPOSITORY", r.BaseRepository)
		s.set(prefix+"HEAD_REPOSITORY", r.HeadRepository)
		s.set(prefix+"HEAD_REF", r.HeadRef)
		s.set(prefix+"REPOSITORY_TYPE", r.Type)
		if r.HeadRev != "" {
			s.set(prefix+"HEAD_REV", r.HeadRev)
		}
		if r.SSHSecretName != "" {
			s.set(prefix+"SSH_SECRET_NAME", r.SSHSecretName)
			s.scopes = append(s.scopes, "secrets:get:"+r.SSHSecretName)
		}
		s.options = append(s.options, "--"+r.Prefix+"-checkout="+joinPath(s.dir, r.Path))
	}
	return s, nil
}

// caches writes the caches of tools that the job uses (taskgraph-map 10.4).
func (j *job) caches() error {
	base := ".task-cache"
	if j.isDocker() {
		workdir := j.str("workdir")
		if workdir == "" {
			workdir = defaultWorkdir
		}
		base = joinPath(workdir, base)
	}
	use := j.run["use-caches"]
	if use == nil {
		use = j.c.Graph.UseCaches()
	}
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
			j.env()[cacheVariable(name)] = dir
		}
		if j.isDocker() {
			j.add("caches", j.cache(full, dir))
		} else {
			j.add("mounts", map[string]any{"cache-name": full, "directory": dir})
		}
	}
	return nil
}

// cacheVariable is the environment variable that tells a tool where its cache is.
func cacheVariable(tool string) string {
	switch tool {
	case "cargo":
		return "CARGO_HOME"
	case "npm":
		return "npm_config_cache"
	case "pip":
		return "PIP_CACHE_DIR"
	}
	return "UV_CACHE_DIR"
}

// cache is docker-worker's cache of that name and directory, one for all jobs.
func (j *job) cache(name, dir string) any {
	var buf [256]byte
	key := transform.Field(transform.Field(append(buf[:0], "cache of docker-worker"...), name), dir)
	if v, ok := j.c.Share(key); ok {
		return v
	}
	return j.c.Keep(key, map[string]any{"type": "persistent", "name": name, "mount-point": dir, "skip-untrusted": false})
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
