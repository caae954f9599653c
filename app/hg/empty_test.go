package hg

import (
	"os"
	"path/filepath"
	"testing"
)

// emptyMessage is an extension with a command that commits without a message, as hg itself never does, and one that
// makes many heads.
func emptyMessage(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "empty.py")
	text := `from mercurial import context, registrar
cmdtable = {}
command = registrar.command(cmdtable)

@command(b'commitempty', [], b'')
def commitempty(ui, repo):
    def content(repo, memctx, path):
        return context.memfilectx(repo, memctx, path, b'x')
    p = repo[b'.']
    c = context.memctx(repo, (p.node(), None), b'', [b'empty'], content, b'Ada Lovelace <ada@example.com>')
    node = repo.commitctx(c)
    with repo.wlock():
        from mercurial import hg
        hg.updaterepo(repo, node, True)

@command(b'commitheads', [], b'COUNT')
def commitheads(ui, repo, count):
    p = repo[b'.']
    for i in range(int(count)):
        def content(repo, memctx, path):
            return context.memfilectx(repo, memctx, path, b'x')
        name = b'h%02d' % i
        c = context.memctx(repo, (p.node(), None), name, [name], content, b'Ada Lovelace <ada@example.com>')
        ui.write(b'%s %s\n' % (repo[repo.commitctx(c)].hex(), name))
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
