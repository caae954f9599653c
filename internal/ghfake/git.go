package ghfake

import (
	"bytes"
	"fmt"
	"net/http/cgi"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"net/http"
)

const zeros = "0000000000000000000000000000000000000000"

// bare is a bare git repository.
type bare struct{ dir string }

// git runs git in the repository.
func (b bare) git(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"--git-dir=" + b.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=GitHub", "GIT_AUTHOR_EMAIL=noreply@github.com", "GIT_COMMITTER_NAME=GitHub", "GIT_COMMITTER_EMAIL=noreply@github.com")
	cmd.Stdin = bytes.NewReader(stdin)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(problems.Bytes()))
	}
	return string(out), nil
}

func (b bare) line(args ...string) (string, error) {
	out, err := b.git(nil, args...)
	return strings.TrimSpace(out), err
}

// resolve returns the commit that a branch, tag, full ref or revision names; "" when there is none.
func (b bare) resolve(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "-") {
		return ""
	}
	for _, name := range []string{"refs/heads/" + ref, "refs/tags/" + ref, ref} {
		if sha, err := b.line("rev-parse", "--verify", "--quiet", name+"^{commit}"); err == nil {
			return sha
		}
	}
	return ""
}

// refs returns the refs below a prefix and what they point to.
func (b bare) refs(prefix string) ([][2]string, error) {
	out, err := b.line("for-each-ref", "--format=%(refname) %(objectname)", prefix)
	var list [][2]string
	for l := range strings.Lines(out) {
		name, sha, _ := strings.Cut(strings.TrimSpace(l), " ")
		list = append(list, [2]string{name, sha})
	}
	return list, err
}

// Change is one commit.
type Change struct {
	Files   map[string]string // content by path; a path under Remove is deleted
	Remove  []string
	Message string    // "a change" when ""
	Time    time.Time // the double's clock when zero
}

// commit adds a commit to a ref and returns it; parent "" begins a history.
func (b bare) commit(ref, parent string, by *User, c Change, now time.Time) (string, error) {
	if c.Message == "" {
		c.Message = "a change"
	}
	if !c.Time.IsZero() {
		now = c.Time
	}
	var in bytes.Buffer
	who := fmt.Sprintf("%s <%s> %d +0000\n", by.name(), by.email(), now.Unix())
	fmt.Fprintf(&in, "commit %s\nmark :1\nauthor %scommitter %sdata %d\n%s\n", ref, who, who, len(c.Message), c.Message)
	if parent != "" {
		fmt.Fprintf(&in, "from %s\n", parent)
	}
	for _, name := range c.Remove {
		fmt.Fprintf(&in, "D %s\n", name)
	}
	names := make([]string, 0, len(c.Files))
	for name := range c.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", name, len(c.Files[name]), c.Files[name])
	}
	in.WriteString("\nget-mark :1\n")
	sha, err := b.git(in.Bytes(), "fast-import", "--quiet", "--force")
	return strings.TrimSpace(sha), err
}

// merge merges two commits and returns the merge commit; an error when they conflict.
func (b bare) merge(base, head, message string) (string, error) {
	tree, err := b.line("merge-tree", "--write-tree", base, head)
	if err != nil {
		return "", err
	}
	return b.line("commit-tree", tree, "-p", base, "-p", head, "-m", message)
}

// gitCommit is a commit as git tells it.
type gitCommit struct {
	sha, tree, parents, name, email, committer, committerEmail, message string
	date                                                                time.Time
}

// log returns the commits of a range, newest first.
func (b bare) log(limit int, args ...string) ([]gitCommit, error) {
	const format = "%H%x00%T%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B%x01"
	out, err := b.git(nil, append([]string{"log", "--format=" + format, fmt.Sprintf("--max-count=%d", limit)}, args...)...)
	if err != nil {
		return nil, err
	}
	var list []gitCommit
	for _, text := range strings.Split(out, "\x01") {
		f := strings.Split(strings.TrimPrefix(text, "\n"), "\x00")
		if len(f) < 9 {
			continue
		}
		date, err := time.Parse(time.RFC3339, f[7])
		if err != nil {
			return nil, err
		}
		list = append(list, gitCommit{f[0], f[1], f[2], f[3], f[4], f[5], f[6], strings.TrimRight(f[8], "\n"), date})
	}
	return list, nil
}

// change is a file that differs between two commits.
type change struct {
	status, name, before string // added, removed, modified, renamed; before is the former name
	sha                  string
	added, deleted       int
}

// diff returns the files that differ; from "" compares with nothing.
func (b bare) diff(from, to string) ([]change, error) {
	if from == "" || from == zeros {
		from = "4b825dc642cb6eb9a060e54bf8d69288fbee4904" // the empty tree
	}
	out, err := b.git(nil, "diff", "--raw", "--no-abbrev", "-M", "-z", from, to)
	if err != nil {
		return nil, err
	}
	var list []change
	fields := strings.Split(out, "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		f := strings.Fields(fields[i]) // :100644 100644 sha sha M
		if len(f) < 5 {
			break
		}
		c := change{sha: f[3], name: fields[i+1]}
		switch f[4][0] {
		case 'A':
			c.status = "added"
		case 'D':
			c.status = "removed"
		case 'R':
			c.status, c.before, c.name = "renamed", fields[i+1], fields[i+2]
			i++
		default:
			c.status = "modified"
		}
		list = append(list, c)
	}
	return list, nil
}

// entry is an entry of a tree.
type entry struct {
	mode, kind, sha, path string
	size                  int64
}

// list returns the entries of a directory at a commit or tree, or of everything below.
func (b bare) list(treeish string, recursive bool, paths ...string) ([]entry, error) {
	args := []string{"ls-tree", "-z", "-l"}
	if recursive {
		args = append(args, "-r", "-t")
	}
	out, err := b.git(nil, append(append(args, treeish, "--"), paths...)...)
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, l := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		about, name, _ := strings.Cut(l, "\t")
		f := strings.Fields(about)
		if len(f) < 4 {
			continue
		}
		e := entry{mode: f[0], kind: f[1], sha: f[2], path: name}
		if _, err := fmt.Sscan(f[3], &e.size); err != nil {
			e.size = 0 // a directory has none
		}
		list = append(list, e)
	}
	return list, nil
}

// serveGit answers clones and fetches.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	name, isGit := strings.CutSuffix(r.PathValue("file"), ".git")
	s.mu.Lock()
	repo := s.repoByName(r.PathValue("owner") + "/" + name)
	allowed := repo != nil && !repo.private
	if _, password, ok := r.BasicAuth(); ok && repo != nil {
		t := s.tokens[password]
		allowed = t != nil && s.Now().Before(t.expires) && t.reaches(repo) && t.may("contents", "read")
	}
	s.mu.Unlock()
	if !isGit || repo == nil {
		http.NotFound(w, r)
		return
	}
	if !allowed {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Repository not found.", http.StatusUnauthorized)
		return
	}
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	prefix := "/" + r.PathValue("owner") + "/" + r.PathValue("file")
	backend := cgi.Handler{
		Path: path.Join(strings.TrimSpace(string(where)), "git-http-backend"), Root: prefix, Logger: nil,
		Env: []string{"GIT_PROJECT_ROOT=" + repo.git.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}
	backend.ServeHTTP(w, r)
}
