package pg_test

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestKeepPlans(t *testing.T) {
	url := pgtest.URL(t)
	const settings = "SELECT current_setting('plan_cache_mode') || ' ' || current_setting('enable_seqscan')"
	for _, tt := range []struct {
		name, url, settings string
		mode                pgx.QueryExecMode
	}{
		{"PostgreSQL itself", url, "force_generic_plan off", pgx.QueryExecModeCacheStatement},
		{"another mode is asked for", strings.ReplaceAll(url, "cache_statement", "exec"), "auto on", pgx.QueryExecModeExec},
		{"a pooler stands between", pooled(t, url), "auto on", pgx.QueryExecModeCacheDescribe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool, err := pg.Open(t.Context(), tt.url, pg.KeepPlans())
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if got := queryRows(t, pool, settings)[0]; got != tt.settings {
				t.Errorf("the settings are %s, want %s", got, tt.settings)
			}
			if got := pool.Config().ConnConfig.DefaultQueryExecMode; got != tt.mode {
				t.Errorf("statements run by %s, want %s", got, tt.mode)
			}
			if got := queryRows(t, pool, "SELECT count(*)::text FROM pg_prepared_statements")[0]; (got == "0") != (tt.mode != pgx.QueryExecModeCacheStatement) {
				t.Errorf("%s statements are kept", got)
			}
		})
	}
}

// pooled returns a URL at which a pooler stands before the database: it greets with a process id of its
// own making, as poolers do, and passes everything else on.
func pooled(t *testing.T, url string) string {
	t.Helper()
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial(network, address)
				if err != nil {
					return
				}
				defer server.Close()
				go io.Copy(server, client)
				greet(client, server)
			}()
		}
	}()
	return "postgres:///" + config.Database + "?sslmode=disable&user=" + config.User + "&host=" + dir
}

func greet(client io.Writer, server io.Reader) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, 4711+binary.BigEndian.Uint32(body))
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			return
		}
	}
}
