package trypush

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // it names revisions in Mercurial
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// node is the name of a revision in Mercurial: of a changeset, a manifest or a file.
type node [sha1.Size]byte

func (n node) String() string { return hex.EncodeToString(n[:]) }

func parseNode(text string) (node, error) {
	var n node
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != len(n) {
		return n, fmt.Errorf("%.80q is no name of a revision in Mercurial", text)
	}
	return node(b), nil
}

// nodeOf names a text with its parents.
func nodeOf(text []byte, p1, p2 node) node {
	if bytes.Compare(p1[:], p2[:]) > 0 {
		p1, p2 = p2, p1
	}
	h := sha1.New() //nolint:gosec // see above
	h.Write(p1[:])
	h.Write(p2[:])
	h.Write(text)
	return node(h.Sum(nil))
}

// entry is a file in a manifest.
type entry struct {
	node  node
	flags string // "", "x" for one that can be run, "l" for a link
}

// manifest is the list of all files of a revision in Mercurial's form: lines of a path, a zero byte, the
// name of the file's revision and its flags, by path.
type manifest []byte

// lines calls yield for each line until it returns false.
func (m manifest) lines(yield func(path string, line []byte) bool) {
	for rest := []byte(m); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		path, _, _ := bytes.Cut(rest[:end], []byte{0})
		if !yield(string(path), rest[:end]) {
			return
		}
		rest = rest[end:]
	}
}

// find looks for some paths.
func (m manifest) find(paths map[string]bool) (map[string]entry, error) {
	out := map[string]entry{}
	for path, line := range m.lines {
		if !paths[path] {
			continue
		}
		rest := bytes.TrimSuffix(line[len(path)+1:], []byte("\n"))
		if len(rest) < 2*sha1.Size {
			return nil, fmt.Errorf("the manifest has a line that is not understood, of %q", path)
		}
		n, err := parseNode(string(rest[:2*sha1.Size]))
		if err != nil {
			return nil, err
		}
		out[path] = entry{n, string(rest[2*sha1.Size:])}
	}
	return out, nil
}

// with is the manifest with other entries; nil removes one.
func (m manifest) with(changes map[string]*entry) manifest {
	paths := slices.Sorted(maps.Keys(changes))
	out := make(manifest, 0, len(m)+len(paths)*80)
	take := func(path string) {
		if e := changes[path]; e != nil {
			out = fmt.Appendf(out, "%s\x00%s%s\n", path, e.node, e.flags)
		}
	}
	for path, line := range m.lines {
		for len(paths) > 0 && paths[0] < path {
			take(paths[0])
			paths = paths[1:]
		}
		if len(paths) > 0 && paths[0] == path {
			take(path)
			paths = paths[1:]
			continue
		}
		out = append(out, line...)
	}
	for _, path := range paths {
		take(path)
	}
	return out
}

// revision is one revision as a changegroup has it.
type revision struct {
	node, p1, base node
	text           []byte // whole
	baseText       []byte // of base
}

// bundle is what one changeset adds to a repository.
type bundle struct {
	change   revision
	manifest *revision // nil when it is that of the parent
	files    map[string]revision
}

// encode writes the bundle in Mercurial's format HG20, with one changegroup of version 02 and without
// compression.
func (b bundle) encode() []byte {
	var g []byte
	g = b.group(g, b.change)
	if b.manifest != nil {
		g = b.group(g, *b.manifest)
	} else {
		g = b.group(g)
	}
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		g = appendChunk(g, []byte(path))
		g = b.group(g, b.files[path])
	}
	g = binary.BigEndian.AppendUint32(g, 0)

	head := []byte("\x0bCHANGEGROUP\x00\x00\x00\x00\x01\x00\x07\x02version02") // one mandatory parameter
	out := binary.BigEndian.AppendUint32([]byte("HG20"), 0)
	out = append(binary.BigEndian.AppendUint32(out, uint32(len(head))), head...)
	const most = 1 << 20
	for piece := range slices.Chunk(g, most) {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(piece))), piece...)
	}
	out = binary.BigEndian.AppendUint32(out, 0) // the part ends
	return binary.BigEndian.AppendUint32(out, 0)
}

// group appends revisions and the end of their group.
func (b bundle) group(g []byte, list ...revision) []byte {
	for _, r := range list {
		var none node
		chunk := slices.Concat(r.node[:], r.p1[:], none[:], r.base[:], b.change.node[:], delta(r.baseText, r.text))
		g = appendChunk(g, chunk)
	}
	return binary.BigEndian.AppendUint32(g, 0)
}

func appendChunk(g, chunk []byte) []byte {
	return append(binary.BigEndian.AppendUint32(g, uint32(len(chunk)+4)), chunk...)
}

// delta makes new of old: one piece of old is replaced.
func delta(old, new []byte) []byte {
	n := min(len(old), len(new))
	head := 0
	for head < n && old[head] == new[head] {
		head++
	}
	tail := 0
	for tail < n-head && old[len(old)-1-tail] == new[len(new)-1-tail] {
		tail++
	}
	middle := new[head : len(new)-tail]
	out := binary.BigEndian.AppendUint32(nil, uint32(head))
	out = binary.BigEndian.AppendUint32(out, uint32(len(old)-tail))
	out = binary.BigEndian.AppendUint32(out, uint32(len(middle)))
	return append(out, middle...)
}

// fileText is what Mercurial keeps of a file: the content, and before it where it was copied from.
func fileText(content []byte, copied string, copiedRev node) []byte {
	const mark = "\x01\n"
	switch {
	case copied != "":
		return append([]byte(mark+"copy: "+copied+"\ncopyrev: "+copiedRev.String()+"\n"+mark), content...)
	case bytes.HasPrefix(content, []byte(mark)):
		return append([]byte(mark+mark), content...)
	}
	return content
}

// changeText is what Mercurial keeps of a changeset.
func changeText(manifest node, user string, when time.Time, branch string, paths []string, message string) []byte {
	_, east := when.Zone()
	date := fmt.Sprintf("%d %d", when.Unix(), -east)
	if branch != "" && branch != "default" {
		date += " branch:" + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\x00", `\0`).Replace(branch)
	}
	lines := strings.Split(strings.ReplaceAll(message, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r\f\v")
	}
	slices.Sort(paths)
	head := append([]string{manifest.String(), user, date}, paths...)
	return []byte(strings.Join(head, "\n") + "\n\n" + strings.Trim(strings.Join(lines, "\n"), "\n"))
}
