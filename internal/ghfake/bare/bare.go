// Package bare drives bare git repositories: commits, merges, histories and trees, as the double of GitHub needs them.
package bare

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// Zeros is the revision of what is not there.
const Zeros = "0000000000000000000000000000000000000000"

// Repo is a bare git repository. It keeps no state besides its directory, and may be used by several goroutines.
type Repo struct{ Dir string }

// Git runs git in the repository.
func (b Repo) Git(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"--git-dir=" + b.Dir}, args...)...)
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

// Line runs git and returns what it prints without the space around.
func (b Repo) Line(args ...string) (string, error) {
	out, err := b.Git(nil, args...)
	return strings.TrimSpace(out), err
}

// Resolve returns the commit that a branch, tag, full ref or revision names; "" when there is none.
func (b Repo) Resolve(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "-") {
		return ""
	}
	for _, name := range []string{"refs/heads/" + ref, "refs/tags/" + ref, ref} {
		if sha, err := b.Line("rev-parse", "--verify", "--quiet", name+"^{commit}"); err == nil {
			return sha
		}
	}
	return ""
}

// Refs returns the refs below a prefix and what they point to.
func (b Repo) Refs(prefix string) ([][2]string, error) {
	out, err := b.Line("for-each-ref", "--format=%(refname) %(objectname)", prefix)
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

// Commit adds a commit to a ref and returns it; parent "" begins a history.
func (b Repo) Commit(ref, parent string, name, email string, c Change, now time.Time) (string, error) {
	if c.Message == "" {
		c.Message = "a change"
	}
	if !c.Time.IsZero() {
		now = c.Time
	}
	var in bytes.Buffer
	who := fmt.Sprintf("%s <%s> %d +0000\n", name, email, now.Unix())
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
		mode := "100644"
		if strings.HasPrefix(c.Files[name], "#!") { // a program
			mode = "100755"
		}
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, name, len(c.Files[name]), c.Files[name])
	}
	return b.imported(&in)
}

// Merge merges two commits and returns the merge commit; an error when they conflict.
func (b Repo) Merge(base, head, message string) (string, error) {
	tree, err := b.Line("merge-tree", "--write-tree", base, head)
	if err != nil {
		return "", err
	}
	return b.Line("commit-tree", tree, "-p", base, "-p", head, "-m", message)
}

// Commit is a commit as git tells it; parents have spaces between.
type Commit struct {
	SHA, Tree, Parents, Name, Email, Committer, CommitterEmail, Message string
	Date                                                                time.Time
}

// Log returns the commits of a range, newest first.
func (b Repo) Log(limit int, args ...string) ([]Commit, error) {
	const format = "%H%x00%T%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B%x01"
	out, err := b.Git(nil, append([]string{"log", "--format=" + format, fmt.Sprintf("--max-count=%d", limit)}, args...)...)
	if err != nil {
		return nil, err
	}
	var list []Commit
	for _, text := range strings.Split(out, "\x01") {
		f := strings.Split(strings.TrimPrefix(text, "\n"), "\x00")
		if len(f) < 9 {
			continue
		}
		date, err := time.Parse(time.RFC3339, f[7])
		if err != nil {
			return nil, err
		}
		list = append(list, Commit{f[0], f[1], f[2], f[3], f[4], f[5], f[6], strings.TrimRight(f[8], "\n"), date})
	}
	return list, nil
}

// Changed is a file that differs between two commits.
type Changed struct {
	Status, Name, Before string // added, removed, modified, renamed; Before is the former name
	SHA                  string
}

// Diff returns the files that differ; from "" compares with nothing.
func (b Repo) Diff(from, to string) ([]Changed, error) {
	if from == "" || from == Zeros {
		from = "4b825dc642cb6eb9a060e54bf8d69288fbee4904" // the empty tree
	}
	out, err := b.Git(nil, "diff", "--raw", "--no-abbrev", "-M", "-z", from, to)
	if err != nil {
		return nil, err
	}
	var list []Changed
	fields := strings.Split(out, "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		f := strings.Fields(fields[i]) // :100644 100644 sha sha M
		if len(f) < 5 {
			break
		}
		c := Changed{SHA: f[3], Name: fields[i+1]}
		switch f[4][0] {
		case 'A':
			c.Status = "added"
		case 'D':
			c.Status = "removed"
		case 'R':
			c.Status, c.Before, c.Name = "renamed", fields[i+1], fields[i+2]
			i++
		default:
			c.Status = "modified"
		}
		list = append(list, c)
	}
	return list, nil
}

// Entry is an entry of a tree.
type Entry struct {
	Mode, Kind, SHA, Path string
	Size                  int64
}

// List returns the entries of a directory at a commit or tree, or of everything below.
func (b Repo) List(treeish string, recursive bool, paths ...string) ([]Entry, error) {
	args := []string{"ls-tree", "-z", "-l"}
	if recursive {
		args = append(args, "-r", "-t")
	}
	out, err := b.Git(nil, append(append(args, treeish, "--"), paths...)...)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, l := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		about, name, _ := strings.Cut(l, "\t")
		f := strings.Fields(about)
		if len(f) < 4 {
			continue
		}
		e := Entry{Mode: f[0], Kind: f[1], SHA: f[2], Path: name}
		if _, err := fmt.Sscan(f[3], &e.Size); err != nil {
			e.Size = 0 // a directory has none
		}
		list = append(list, e)
	}
	return list, nil
}

// Serve answers git's HTTP requests below a prefix of the path: clones and fetches.
func (b Repo) Serve(w http.ResponseWriter, r *http.Request, prefix string) {
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	backend := cgi.Handler{
		Path: path.Join(strings.TrimSpace(string(where)), "git-http-backend"), Root: prefix,
		Env: []string{"GIT_PROJECT_ROOT=" + b.Dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}
	backend.ServeHTTP(w, r)
}
