package metrics

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/treeline-ci/treeline/internal/pg"
)

// SQL counts round trips to the database by the statement that leads them, and by its room: it is the tracer of the
// server's pools. Finding the statement by its text costs tens of nanoseconds; nothing is locked. It also remembers
// when the database last refused to write.
type SQL struct {
	refused atomic.Pointer[time.Time]

	byText  map[string]*statement // never changed
	rooms   map[string]*room      // never changed
	unnamed *statement
}

// statement is what is counted of one.
type statement struct {
	name  string
	room  *room
	calls atomic.Int64
	fails atomic.Int64
	nanos atomic.Int64
}

// room is what is counted of all statements of one.
type room struct {
	name     string
	ok, fail atomic.Int64
	took     prometheus.Histogram
}

// ends are what begins and ends transactions; they lead no round trip of a room.
var ends = []string{"begin", "commit", "rollback"}

func newSQL(list []pg.Statement) *SQL {
	s := &SQL{byText: make(map[string]*statement, len(list)+len(ends)), rooms: map[string]*room{}}
	for _, x := range list {
		s.byText[x.Text] = &statement{name: x.Name, room: s.room(x.Name)}
	}
	transaction := s.room("transaction")
	for _, text := range ends {
		s.byText[text] = &statement{name: "transaction." + text, room: transaction}
	}
	s.unnamed = &statement{name: Other, room: s.room(Other)}
	return s
}

func (s *SQL) room(name string) *room {
	name, _, _ = strings.Cut(name, ".")
	if s.rooms[name] == nil {
		s.rooms[name] = &room{name: name, took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: sqlSeconds.Name, Help: sqlSeconds.Help, Buckets: sqlSeconds.Buckets, ConstLabels: prometheus.Labels{"room": name},
		})}
	}
	return s.rooms[name]
}

func (s *SQL) find(text string) *statement {
	if x := s.byText[text]; x != nil {
		return x
	}
	return s.unnamed
}

// trip is a round trip under way.
type trip struct {
	began time.Time
	lead  *statement
	err   bool
}

type tripKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (s *SQL) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, tripKey{}, &trip{began: time.Now(), lead: s.find(d.SQL)})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *SQL) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	if t, ok := ctx.Value(tripKey{}).(*trip); ok {
		t.lead.calls.Add(1)
		if s.broken(d.Err) {
			t.lead.fails.Add(1)
			t.err = true
		}
		t.end()
	}
}

// TraceBatchStart implements pgx.BatchTracer.
func (s *SQL) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	t := &trip{began: time.Now(), lead: s.unnamed}
	for _, q := range d.Batch.QueuedQueries {
		if x := s.find(q.SQL); x != s.unnamed {
			if t.lead = x; x.room.name != "transaction" {
				break
			}
		}
	}
	return context.WithValue(ctx, tripKey{}, t)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (s *SQL) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	x := s.find(d.SQL)
	x.calls.Add(1)
	if s.broken(d.Err) {
		x.fails.Add(1)
		if t, ok := ctx.Value(tripKey{}).(*trip); ok {
			t.err = true
		}
	}
}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *SQL) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchEndData) {
	if t, ok := ctx.Value(tripKey{}).(*trip); ok {
		t.err = t.err || s.broken(d.Err)
		t.end()
	}
}

func (t *trip) end() {
	took := time.Since(t.began)
	t.lead.nanos.Add(int64(took))
	t.lead.room.took.Observe(took.Seconds())
	if t.err {
		t.lead.room.fail.Add(1)
	} else {
		t.lead.room.ok.Add(1)
	}
}

// Refused reports whether a statement failed within the time given because the database takes no writes.
func (s *SQL) Refused(within time.Duration) bool {
	at := s.refused.Load()
	return at != nil && time.Since(*at) < within
}

// broken reports errors that say something about the database: not those of a caller who went away.
func (s *SQL) broken(err error) bool {
	if pg.Unwritable(err) {
		now := time.Now()
		s.refused.Store(&now)
	}
	return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, pgx.ErrNoRows)
}

var (
	sqlCallsDesc            = sqlCalls.desc()
	sqlStatementsDesc       = sqlStatements.desc()
	sqlStatementSecondsDesc = sqlStatementSeconds.desc()
	sqlStatementErrorsDesc  = sqlStatementErrors.desc()
)

// Describe implements prometheus.Collector.
func (s *SQL) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sqlCallsDesc, sqlStatementsDesc, sqlStatementSecondsDesc, sqlStatementErrorsDesc} {
		out <- d
	}
	for _, r := range s.rooms {
		r.took.Describe(out)
	}
}

// Collect implements prometheus.Collector. Rooms and statements that were never asked for are left out.
func (s *SQL) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for _, r := range s.rooms {
		if ok, fail := r.ok.Load(), r.fail.Load(); ok+fail > 0 {
			count(sqlCallsDesc, float64(ok), r.name, "ok")
			count(sqlCallsDesc, float64(fail), r.name, "error")
			r.took.Collect(out)
		}
	}
	each := func(x *statement) {
		n := x.calls.Load()
		if n == 0 {
			return
		}
		count(sqlStatementsDesc, float64(n), x.room.name, x.name)
		if nanos := x.nanos.Load(); nanos > 0 {
			count(sqlStatementSecondsDesc, float64(nanos)/1e9, x.room.name, x.name)
		}
		if fails := x.fails.Load(); fails > 0 {
			count(sqlStatementErrorsDesc, float64(fails), x.room.name, x.name)
		}
	}
	for _, x := range s.byText {
		each(x)
	}
	each(s.unnamed)
}
