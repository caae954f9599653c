package docker

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// maxContext bounds the bytes of one context.
const maxContext = 1 << 30

// Context is the archive that an image is built from.
type Context struct {
	// Tar is the archive, uncompressed. Its sha256 is the context's hash.
	Tar []byte
}

// Hash is the sha256 of the archive in hex.
func (c *Context) Hash() string {
	sum := sha256.Sum256(c.Tar)
	return hex.EncodeToString(sum[:])
}

// Gzip is the archive as the decision publishes it under name; the same context gives the same
// bytes.
func (c *Context) Gzip(name string) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	z.Name, z.ModTime = name, time.Unix(modified, 0)
	if _, err := z.Write(c.Tar); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// assembly is a context in the making.
type assembly struct {
	shared *transform.Shared
	image  string
	args   map[string]any
	files  map[string]member
	size   int
}

// member is one file of the context.
type member struct {
	content    []byte
	executable bool
}

// NewContext assembles the context of the image that directory docker/definition below the
// root defines, with args for its Dockerfile.
func NewContext(s *transform.Shared, definition string, args map[string]any) (*Context, error) {
	a := &assembly{shared: s, image: definition, args: args, files: map[string]member{}}
	// The directory is taskcluster/docker whatever the root is called: taskgraph-map 11.6.
	dir := path.Join("taskcluster", "docker", definition)
	if _, err := fs.Stat(s.Tree, dir); err != nil {
		dir = path.Join(s.Graph.Root, "docker", definition)
	}
	if err := a.addTree(dir, ""); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the image %q has no directory %s; its definition may be another's: say which in \"definition\"", definition, dir)
	} else if err != nil {
		return nil, err
	}
	dockerfile, ok := a.files["Dockerfile"]
	if !ok {
		return nil, fmt.Errorf("%s has no Dockerfile", dir)
	}
	text, err := a.dockerfile(path.Join(dir, "Dockerfile"), string(dockerfile.content))
	if err != nil {
		return nil, err
	}
	a.files["Dockerfile"] = member{content: []byte(text)}
	return &Context{Tar: archive(a.files)}, nil
}

func (a *assembly) addTree(dir, prefix string) error {
	return fs.WalkDir(a.shared.Tree, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("the image %q: %w", a.image, err)
		case d.IsDir() && d.Name() == "__pycache__":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		return a.addFile(name, path.Join(prefix, rel))
	})
}

func (a *assembly) addFile(name, as string) error {
	info, err := fs.Stat(a.shared.Tree, name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return nil // a link to a directory
	}
	if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return fmt.Errorf("%s has the setuid or setgid bit, which an image's context must not have", name)
	}
	if a.size += int(info.Size()); a.size > maxContext {
		return fmt.Errorf("the context of the image %q is larger than %d MB", a.image, maxContext>>20)
	}
	content, err := fs.ReadFile(a.shared.Tree, name)
	a.files[as] = member{content, info.Mode()&0o100 != 0}
	return err
}

// runTaskFiles are the scripts that "# %include-run-task" brings in, and where they go.
func runTaskFiles() []struct{ name, to string } {
	return []struct{ name, to string }{
		{"run-task", "/usr/local/bin/run-task"},
		{"fetch-content", "/usr/local/bin/fetch-content"},
		{"robustcheckout.py", "/usr/local/mercurial/robustcheckout.py"},
		{"hgrc", "/etc/mercurial/hgrc.d/mozilla.rc"},
	}
}

// dockerfile works off the comments that have a meaning: %ARG, %include, %include-run-task.
func (a *assembly) dockerfile(name, text string) (string, error) {
	var out strings.Builder
	var replace []func(string) string
	n := 0
	for line := range strings.Lines(text) {
		n++
		if rest, ok := strings.CutPrefix(line, "# %ARG"); ok {
			r, err := a.arg(strings.TrimSpace(rest))
			if err != nil {
				return "", fmt.Errorf("%s:%d: %w", name, n, err)
			}
			replace = append(replace, r)
			continue
		}
		for _, r := range replace {
			line = r(line)
		}
		out.WriteString(line)
		if !strings.HasPrefix(line, "# %include") {
			continue
		}
		if strings.TrimSpace(line) == "# %include-run-task" {
			if err := a.includeRunTask(&out); err != nil {
				return "", fmt.Errorf("%s:%d: %w", name, n, err)
			}
			continue
		}
		if err := a.include(strings.TrimSpace(strings.TrimPrefix(line, "# %include"))); err != nil {
			return "", fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return out.String(), nil
}

func (a *assembly) arg(name string) (func(string) string, error) {
	v, ok := a.args[name]
	if !ok {
		return nil, fmt.Errorf("the image needs args.%s", name)
	}
	re, err := regexp.Compile(`\$` + regexp.QuoteMeta(name) + `\b`)
	if err != nil {
		return nil, err
	}
	return func(line string) string { return re.ReplaceAllLiteralString(line, value.Text(v)) }, nil
}

func (a *assembly) includeRunTask(out *strings.Builder) error {
	for _, f := range runTaskFiles() {
		content, err := a.shared.Script(f.name)
		if err != nil {
			continue // a script that this Treeline does not have
		}
		executable := f.name != "robustcheckout.py" // as in the field's own repository, hgrc too
		a.files["run-task/"+f.name] = member{content, executable}
		fmt.Fprintf(out, "COPY run-task/%s %s\n", f.name, f.to)
	}
	return nil
}

func (a *assembly) include(name string) error {
	clean := path.Clean(name)
	switch {
	case name == "":
		return fmt.Errorf("%%include names no path")
	case path.IsAbs(name):
		return fmt.Errorf("the path of %%include must not be absolute: %s", name)
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return fmt.Errorf("the path of %%include leads out of the tree: %s", name)
	}
	info, err := fs.Stat(a.shared.Tree, clean)
	if err != nil {
		return fmt.Errorf("the path of %%include does not exist: %s", name)
	}
	if info.IsDir() {
		return a.addTree(clean, "topsrcdir/"+strings.TrimSuffix(name, "/"))
	}
	return a.addFile(clean, "topsrcdir/"+name)
}

// modified is the time that every member of a context carries: the start of 2016, UTC.
const modified = 1451606400

// archive writes files as a tar in the GNU format of old, sorted by name. Contexts are compared
// by the hash of these bytes, so each byte counts: taskgraph-map 21.1.
func archive(files map[string]member) []byte {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, name := range names {
		f := files[name]
		if len(name) > 100 {
			b.Write(header("././@LongLink", 'L', 0, len(name)+1, 0))
			writeBlocks(&b, append([]byte(name), 0))
		}
		mode := 0o644
		if f.executable {
			mode = 0o755
		}
		b.Write(header(name, '0', mode, len(f.content), modified))
		writeBlocks(&b, f.content)
	}
	b.Write(make([]byte, 2*block))
	if rest := b.Len() % record; rest > 0 {
		b.Write(make([]byte, record-rest))
	}
	return b.Bytes()
}

const (
	block  = 512
	record = 20 * block
)

func writeBlocks(b *bytes.Buffer, content []byte) {
	b.Write(content)
	if rest := len(content) % block; rest > 0 {
		b.Write(make([]byte, block-rest))
	}
}

// header is one member's header. Device numbers are zero in digits, as older writers had them.
func header(name string, kind byte, mode, size, mtime int) []byte {
	h := make([]byte, block)
	copy(h[:100], name)
	octal := func(at, width, n int) { copy(h[at:], fmt.Sprintf("%0*o\x00", width-1, n)) }
	octal(100, 8, mode)
	octal(108, 8, 0) // owner
	octal(116, 8, 0) // group
	octal(124, 12, size)
	octal(136, 12, mtime)
	copy(h[148:156], "        ")
	h[156] = kind
	copy(h[257:], "ustar  \x00")
	octal(329, 8, 0) // device
	octal(337, 8, 0)
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}
