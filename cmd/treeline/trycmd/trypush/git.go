package trypush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// pushGit makes blobs, tree and commit in a folder of objects below dir, with an index of its own.
func (w Work) pushGit(ctx context.Context, dir string, p Push) (string, error) {
	head, err := w.Head(ctx)
	if err != nil {
		return "", err
	}
	g, err := w.aside(ctx, dir)
	if err != nil {
		return "", err
	}
	if p.Changes {
		err = w.indexOfWork(ctx, g, filepath.Join(dir, "index"))
	} else {
		_, err = g.run(ctx, "git", "read-tree", head)
	}
	if err != nil {
		return "", err
	}
	for name, content := range p.Files {
		blob := g
		blob.stdin = bytes.NewReader(content)
		id, err := blob.line(ctx, "git", "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		if _, err := g.run(ctx, "git", "update-index", "--add", "--cacheinfo", "100644,"+id+","+name); err != nil {
			return "", err
		}
	}
	tree, err := g.line(ctx, "git", "write-tree")
	if err != nil {
		return "", err
	}
	commit := g
	commit.stdin = strings.NewReader(p.Message + "\n")
	commit.env = append(slices.Clone(g.env), fmt.Sprintf("GIT_COMMITTER_DATE=%d", p.Now.Unix()), fmt.Sprintf("GIT_AUTHOR_DATE=%d", p.Now.Unix()))
	revision, err := commit.line(ctx, "git", "commit-tree", tree, "-p", head, "-F", "-")
	if err != nil {
		return "", err
	}
	return revision, g.push(ctx, p, revision)
}

// push sends the commit. It names the address, not the remote: git would note the branch as one of the
// remote's, which is a change here.
func (c command) push(ctx context.Context, p Push, revision string) error {
	c.stdin, c.said = p.Stdin, p.Said
	args := []string{"push", "--no-follow-tags", "--recurse-submodules=no"}
	if !p.Verify {
		args = append(args, "--no-verify")
	}
	_, err := c.run(ctx, "git", append(args, "--", p.Address, revision+":refs/heads/"+p.Branch)...)
	return err
}

// aside makes git write objects and index below dir, and read those of the repository.
func (w Work) aside(ctx context.Context, dir string) (command, error) {
	g := command{dir: w.Dir}
	objects, err := g.line(ctx, "git", "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return g, err
	}
	own := filepath.Join(dir, "objects")
	if err := os.Mkdir(own, 0o700); err != nil {
		return g, fmt.Errorf("try: %w", err)
	}
	if strings.ContainsAny(objects, `:"`) {
		objects = strconv.Quote(objects)
	}
	if more := os.Getenv("GIT_ALTERNATE_OBJECT_DIRECTORIES"); more != "" {
		objects += ":" + more
	}
	g.env = []string{
		"GIT_INDEX_FILE=" + filepath.Join(dir, "index"), "GIT_OBJECT_DIRECTORY=" + own, "GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects,
		"GIT_OPTIONAL_LOCKS=0",
	}
	return g, nil
}

// indexOfWork makes an index of what is in the work tree: changed and removed files, and those added to the
// index of the work tree.
func (w Work) indexOfWork(ctx context.Context, g command, index string) error {
	plain := command{dir: w.Dir}
	unmerged, err := plain.run(ctx, "git", "ls-files", "--unmerged", "-z")
	if err != nil {
		return err
	}
	if unmerged != "" {
		_, path, _ := strings.Cut(unmerged[:strings.IndexByte(unmerged+"\x00", 0)], "\t")
		return fmt.Errorf("%s has conflicts: resolve them before its changes are pushed", path)
	}
	from, err := plain.line(ctx, "git", "rev-parse", "--path-format=absolute", "--git-path", "index")
	if err != nil {
		return err
	}
	if err := copyFile(from, index); err != nil {
		return fmt.Errorf("try: the index: %w", err)
	}
	_, err = g.run(ctx, "git", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false", "-c", "core.untrackedCache=false", "add", "--update", "--", ":/")
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
