package pg_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/pg"
)

// A CI task's directory for temporary files may itself be too deep for a socket.
func TestDeepDirectoriesHaveAShortSocket(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep/", 20))
	t.Setenv("TMPDIR", deep)
	c := startCluster(t, filepath.Join(deep, "cluster"))
	pool := openPool(t, c.URL(pg.DatabaseName))
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAnyNameOfADirectoryWillDo(t *testing.T) {
	for _, name := range []string{"My Documents", "50%+1", `it's, "so" \ and`} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, filepath.Join(t.TempDir(), name))
			pool := openPool(t, c.URL(pg.DatabaseName))
			if err := pool.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
