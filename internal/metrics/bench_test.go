package metrics_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

var benchSQL = pg.Statement{Name: "bench.lookup", Text: `SELECT number, name FROM schema_versions WHERE number = $1`}

// BenchmarkStatement is a statement by its key, the shortest that there is, with and without being counted.
func BenchmarkStatement(b *testing.B) {
	url := pgtest.URL(b)
	for _, c := range []struct {
		name string
		with func(*pgxpool.Config)
	}{
		{"plain", func(*pgxpool.Config) {}},
		{"counted", func(p *pgxpool.Config) {
			p.ConnConfig.Tracer = metrics.New(metrics.Options{Statements: []pg.Statement{benchSQL}}).SQL
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			pool, err := pg.Open(b.Context(), url, pg.KeepPlans(), c.with)
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			var number int
			var name string
			for b.Loop() {
				if err := pool.QueryRow(b.Context(), benchSQL.Text, 2).Scan(&number, &name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTracer is what counting a round trip costs by itself.
func BenchmarkTracer(b *testing.B) {
	s := metrics.New(metrics.Options{Statements: []pg.Statement{benchSQL}}).SQL
	var trace pgx.QueryTracer = s
	for b.Loop() {
		ctx := trace.TraceQueryStart(context.Background(), nil, pgx.TraceQueryStartData{SQL: benchSQL.Text})
		trace.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{})
	}
}
