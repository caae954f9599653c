package admincmd_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/admin/tree"
	"github.com/treeline-ci/treeline/app"
)

const example = "../../../docs/examples/admin"

func TestTheExampleOfTheDocumentationIsGood(t *testing.T) {
	d := &desk{t, "", nil, example}
	d.has(d.admin(false, "check"), "4 of 4 checks hold")
	out := d.admin(false, "generate", "--filter", `kind == "role" && id endsWith ":branch:main"`)
	d.has(out, "role repo:github.com/acme/app:branch:main  (grants.yml:", "secrets:get:project/acme/level-3/signing", "* Releases are signed on the main branch, and nowhere else.")

	t.Run("its server configuration is one", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "repositories.yml")
		must(t, os.WriteFile(file, []byte((&desk{t, "", nil, example}).admin(false, "generate", "--server-config")), 0o600))
		list, err := app.LoadRepositories(file)
		must(t, err)
		if len(list) != 2 || list[0].Name != "app" || list[0].Level != 3 || !slices.Equal(list[1].TryBranches, []string{"try/**"}) {
			t.Errorf("%+v", list)
		}
	})
	t.Run("a check that fails says where and why", func(t *testing.T) {
		other := t.TempDir()
		must(t, os.CopyFS(other, os.DirFS(example)))
		d := &desk{t, "", nil, other}
		d.write("zz.yml", "grants:\n  - {scopes: [\"secrets:get:*\"], reason: Oops., to: [{projects: website, event: pull-request}]}\n")
		d.has(d.admin(true, "check"), "checks.yml:8: no role of level 1 reaches it either: does not hold", "reason: The same.", "grants.yml:10: role repo:github.com/acme/website:pull-request")
		d.write("zz.yml", "checks:\n  - {name: bad, reason: r, none: rolls, where: 'true'}\n  - {name: worse, reason: r, every: clients, holds: lvel == 1}\n")
		d.has(d.admin(true, "check"), `"rolls" are no things`, "unknown name lvel")
	})
}

// The directory has the keys of the server's file of repositories: they are one language.
func TestTheDirectoryHasTheKeysOfTheServersFile(t *testing.T) {
	var keys []string
	var add func(reflect.Type)
	add = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Anonymous {
				add(f.Type)
			} else {
				keys = append(keys, f.Tag.Get("yaml"))
			}
		}
	}
	add(reflect.TypeFor[app.Repository]())
	slices.Sort(keys)
	ours := tree.RepositoryKeys()
	slices.Sort(ours)
	if diff := cmp.Diff(keys, ours); diff != "" {
		t.Error(diff)
	}
}

// The pages show what the example has, not what it once had.
func TestThePagesQuoteTheExample(t *testing.T) {
	text := ""
	for _, name := range []string{"admin.yml", "grants.yml", "things.yml", "checks.yml"} {
		file, err := os.ReadFile(filepath.Join(example, name))
		must(t, err)
		text += string(file)
	}
	blocks := 0
	for _, page := range []string{"how-to/administer-as-code.md", "reference/admin-directory.md"} {
		file, err := os.ReadFile("../../../docs/" + page)
		must(t, err)
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(file), -1) {
			blocks++
			for line := range strings.Lines(block[1]) {
				if !strings.Contains(text, strings.TrimSpace(line)) {
					t.Errorf("%s: the example has no line %q", page, line)
				}
			}
		}
	}
	if blocks < 4 {
		t.Errorf("only %d quotations are found", blocks)
	}
}
