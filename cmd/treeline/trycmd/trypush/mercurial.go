package trypush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pushMercurial writes the commit into a bundle, and pushes from the repository with the bundle laid over
// it. Nobody can lock that: a push from a repository that cannot be locked changes nothing in it, from
// another it would move the phases of what it has pushed.
func (w Work) pushMercurial(ctx context.Context, dir string, p Push) (string, error) {
	b, err := w.bundle(ctx, p)
	if err != nil {
		return "", err
	}
	over := filepath.Join(dir, "try.hg")
	if err := os.WriteFile(over, b.encode(), 0o600); err != nil {
		return "", fmt.Errorf("try: %w", err)
	}
	hg := command{dir: w.Dir, stdin: p.Stdin, said: p.Said}
	// The other extensions note on this side what the other one has, or what was run.
	_, err = hg.run(ctx, "hg", "push", "-R", over, "--config", "bundle.mainreporoot="+w.Dir,
		"--config", "extensions.remotenames=!", "--config", "extensions.blackbox=!", "--config", "extensions.journal=!",
		"--new-branch", "--force", "--rev", b.change.node.String(), "--", p.Address)
	return b.change.node.String(), err
}

// unknown are requirements of repositories whose revisions bundles such as ours cannot hold.
var unknown = []string{"treemanifest", "narrowhg-experimental", "exp-sidedata", "exp-revlogv2.2", "exp-changelog-v2"}

// requirements are the words that say what the repository is made of: those of the working copy, and those
// of where its revisions are, which is another folder for a share.
func (w Work) requirements() ([]string, error) {
	own := filepath.Join(w.Dir, ".hg")
	store := own
	path, err := os.ReadFile(filepath.Join(own, "sharedpath"))
	if err == nil {
		if store = strings.TrimRight(string(path), "\n"); !filepath.IsAbs(store) {
			store = filepath.Join(own, store)
		}
	}
	var words []string
	for _, file := range []string{filepath.Join(own, "requires"), filepath.Join(store, "store", "requires")} {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("try: %w", err)
		}
		words = append(words, strings.Fields(string(b))...)
	}
	return words, nil
}

// parent is the revision that the commit goes on top of.
type parent struct {
	node, manifest node
	files          manifest
	branch         string
}

func (w Work) parent(ctx context.Context) (parent, error) {
	var p parent
	hg := command{dir: w.Dir}
	out, err := hg.line(ctx, "hg", "log", "--debug", "--rev", ".", "--template", "{node}\n{manifest}\n{branch}")
	if err != nil {
		return p, err
	}
	field := strings.SplitN(out, "\n", 3)
	if len(field) != 3 || strings.Trim(field[0], "0") == "" {
		return p, fmt.Errorf("%s has no commit checked out: commit something first", w.Dir)
	}
	if p.node, err = parseNode(field[0]); err != nil {
		return p, err
	}
	_, id, _ := strings.Cut(field[1], ":")
	if p.manifest, err = parseNode(id); err != nil {
		return p, err
	}
	p.branch = field[2]
	text, err := hg.run(ctx, "hg", "debugdata", "--manifest", p.manifest.String())
	p.files = manifest(text)
	return p, err
}

// change is a file that the commit changes.
type change struct {
	content []byte
	flags   string
	removed bool
	copied  string // from where
}

// bundle makes the commit.
func (w Work) bundle(ctx context.Context, p Push) (bundle, error) {
	var b bundle
	needs, err := w.requirements()
	if err != nil {
		return b, err
	}
	for _, need := range needs {
		if slices.Contains(unknown, need) {
			return b, fmt.Errorf("try: repositories with %q are not supported: push the commit by hand", need)
		}
	}
	on, err := w.parent(ctx)
	if err != nil {
		return b, err
	}
	changes := map[string]change{}
	if p.Changes {
		if changes, err = w.uncommitted(ctx, needs); err != nil {
			return b, err
		}
	}
	for name, content := range p.Files {
		changes[name] = change{content: content}
	}
	user, err := w.user(ctx)
	if err != nil {
		return b, err
	}
	entries, err := w.files(ctx, &b, on, changes)
	if err != nil {
		return b, err
	}
	id := on.manifest
	if len(entries) > 0 {
		text := on.files.with(entries)
		id = nodeOf(text, on.manifest, node{})
		b.manifest = &revision{node: id, p1: on.manifest, base: on.manifest, text: text, baseText: on.files}
	}
	text := changeText(id, user, p.Now, on.branch, slices.Collect(maps.Keys(entries)), p.Message)
	b.change = revision{node: nodeOf(text, on.node, node{}), p1: on.node, text: text}
	return b, nil
}

// files puts the revisions of files into b and returns what becomes of the manifest.
func (w Work) files(ctx context.Context, b *bundle, on parent, changes map[string]change) (map[string]*entry, error) {
	wanted := map[string]bool{}
	for path, c := range changes {
		wanted[path], wanted[c.copied] = true, true
	}
	before, err := on.files.find(wanted)
	if err != nil {
		return nil, err
	}
	b.files = map[string]revision{}
	entries := map[string]*entry{}
	for path, c := range changes {
		old, had := before[path]
		if c.removed {
			if had {
				entries[path] = nil
			}
			continue
		}
		source := before[c.copied]
		if source == (entry{}) {
			c.copied = ""
		}
		text, p1 := fileText(c.content, c.copied, source.node), old.node
		if c.copied != "" {
			p1 = node{} // the text names what it descends from
		}
		made := entry{nodeOf(text, p1, node{}), c.flags}
		if had && c.copied == "" {
			same, err := w.same(ctx, on, path, c.content)
			if err != nil {
				return nil, err
			}
			if same {
				made.node = old.node
			}
		}
		if made == old {
			continue
		}
		entries[path] = &made
		if made.node != old.node {
			b.files[path] = revision{node: made.node, p1: p1, text: text}
		}
	}
	return entries, nil
}

// same reports whether the file has this content in the parent.
func (w Work) same(ctx context.Context, on parent, path string, content []byte) (bool, error) {
	text, err := command{dir: w.Dir}.run(ctx, "hg", "cat", "--rev", on.node.String(), "--", "path:"+path)
	return bytes.Equal([]byte(text), content), err
}

// uncommitted are the changes that "hg commit" would commit.
func (w Work) uncommitted(ctx context.Context, needs []string) (map[string]change, error) {
	hg := command{dir: w.Dir}
	second, err := hg.line(ctx, "hg", "log", "--rev", "p2()", "--template", "{node}")
	if err == nil && second != "" {
		err = errors.New("a merge is not committed yet: commit it before its changes are pushed")
	}
	if err != nil {
		return nil, err
	}
	if err := w.noFilters(ctx, needs); err != nil {
		return nil, err
	}
	out, err := hg.run(ctx, "hg", "status", "--modified", "--added", "--removed", "--copies", "--template", `{status}\0{path}\0{source}\0`)
	if err != nil {
		return nil, err
	}
	field := strings.Split(out, "\x00")
	changes := map[string]change{}
	for ; len(field) >= 3; field = field[3:] {
		if field[0] == "R" {
			changes[field[1]] = change{removed: true}
			continue
		}
		c, err := readChange(filepath.Join(w.Dir, filepath.FromSlash(field[1])))
		if err != nil {
			return nil, fmt.Errorf("try: %w", err)
		}
		c.copied = field[2]
		changes[field[1]] = c
	}
	return changes, nil
}

func readChange(path string) (change, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return change{}, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return change{content: []byte(target), flags: "l"}, err
	}
	c := change{}
	if info.Mode().Perm()&0o100 != 0 {
		c.flags = "x"
	}
	c.content, err = os.ReadFile(path)
	return c, err
}

// noFilters refuses to take files from the working copy where Mercurial commits others than stand there.
func (w Work) noFilters(ctx context.Context, needs []string) error {
	what := ""
	for _, need := range needs {
		if need == "largefiles" || need == "lfs" {
			what = need
		}
	}
	settings := w.Ask(ctx, "config", "extensions") + "\n" + w.Ask(ctx, "config", "encode")
	for line := range strings.Lines(settings) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		filter := strings.HasPrefix(name, "encode.") || slices.Contains([]string{"eol", "keyword", "win32text"}, name[strings.LastIndexByte(name, '.')+1:])
		if filter && !strings.HasPrefix(value, "!") {
			what = name
		}
	}
	if what == "" {
		return nil
	}
	return fmt.Errorf("try: this repository has %s, with which files are committed otherwise than they stand: commit your changes, and push them without --stage-changes", what)
}

// user is who commits.
func (w Work) user(ctx context.Context) (string, error) {
	for _, ask := range []func() string{
		func() string { return os.Getenv("HGUSER") },
		func() string { return os.ExpandEnv(w.Ask(ctx, "config", "ui.username")) },
		func() string { return os.ExpandEnv(w.Ask(ctx, "config", "ui.user")) },
		func() string { return os.Getenv("EMAIL") },
	} {
		if user := strings.TrimSpace(ask()); user != "" && !strings.ContainsAny(user, "\n\x00") {
			return user, nil
		}
	}
	return "", errors.New("no user name is set: run \"hg config --edit\", and write \"username = Name <you@example.com>\" below [ui]")
}
