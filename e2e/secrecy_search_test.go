package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hunted is a value that must be nowhere.
type hunted struct{ name, value string }

// forms are the ways in which a value may be written: as it is, in hexadecimal as dumps have bytes, in
// base64 at any of its three alignments, and escaped for a URL.
func forms(value string) [][]byte {
	out := [][]byte{[]byte(value), []byte(hex.EncodeToString([]byte(value))), []byte(strings.ToUpper(hex.EncodeToString([]byte(value))))}
	for shift := range 3 {
		// The characters that depend on neighbours are left out at both ends.
		padded := append(make([]byte, shift), value...)
		whole := len(padded) / 3 * 3
		from := (shift + 2) / 3 * 4
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(padded[:whole])
			out = append(out, []byte(text[from:]))
		}
	}
	out = append(out, []byte(url.QueryEscape(value)), []byte(url.PathEscape(value)))
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

// places are texts by what they are: of what the whole deployment lets see.
type places struct {
	mu   sync.Mutex
	text map[string]*bytes.Buffer
}

func (p *places) add(place string, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text[place] == nil {
		if p.text == nil {
			p.text = map[string]*bytes.Buffer{}
		}
		p.text[place] = &bytes.Buffer{}
	}
	p.text[place].WriteString(text + "\n")
}

// addFiles adds the files below a directory, with their names.
func (p *places) addFiles(t *testing.T, place, dir string, skip ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains(skip, d.Name()) {
			return err
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // removed meanwhile
		}
		p.add(place, path+"\n"+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *places) names() []string { return slices.Sorted(maps.Keys(p.text)) }

// form is one of the ways in which a value may be written.
type form struct {
	value int // which
	text  []byte
}

// find says where values are, with what stands before them and not with what they are. It goes over
// each text once, however many values there are.
func (p *places) find(values ...hunted) []string {
	begins := map[[2]byte][]form{}
	var possible [1 << 16]bool
	for i, v := range values {
		for _, text := range forms(v.value) {
			begins[[2]byte(text)] = append(begins[[2]byte(text)], form{i, text})
			possible[int(text[0])<<8|int(text[1])] = true
		}
	}
	var found []string
	for _, place := range p.names() {
		text := p.text[place].Bytes()
		seen := map[int]bool{}
		for at := 0; at+1 < len(text); at++ {
			if !possible[int(text[at])<<8|int(text[at+1])] {
				continue
			}
			for _, f := range begins[[2]byte(text[at:])] {
				if !seen[f.value] && bytes.HasPrefix(text[at:], f.text) {
					seen[f.value] = true
					found = append(found, fmt.Sprintf("%s is in: %s, after %q", values[f.value].name, place, tail(string(text[max(0, at-200):at]), 200)))
				}
			}
		}
	}
	return found
}

func TestTheSearchForSecretsFindsThemHoweverTheyAreWritten(t *testing.T) {
	const value = "Zx7+hunter/2_swordfish-9Q"
	in := func(text string) []string {
		p := &places{}
		p.add("somewhere", text)
		return p.find(hunted{"the value", value})
	}
	encoded := func(before, after string) string {
		return base64.StdEncoding.EncodeToString([]byte(before + value + after))
	}
	for name, text := range map[string]string{
		"as it is":           "… " + value + " …",
		"in a dump of bytes": `\x00` + hex.EncodeToString([]byte("a"+value+"b")),
		"in a URL":           "https://x/?t=" + url.QueryEscape(value),
		"in a path":          "https://x/" + url.PathEscape(value),
		"in base64, alone":   encoded("", ""), "in base64, behind one": encoded("x", "y"), "in base64, behind two": encoded("xy", ""), "in base64, behind three": encoded("xyz", "y"),
		"in base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte("id:" + value)),
	} {
		if len(in(text)) != 1 {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	for name, text := range map[string]string{"nothing": "", "another": strings.ToLower(value), "half of it": value[:len(value)/2]} {
		if found := in(text); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	if found := in("before " + value); cmp.Diff([]string{`the value is in: somewhere, after "before "`}, found) != "" {
		t.Errorf("%v shows the value, or not where it is", found)
	}
}
