package bench

import (
	"context"
	"errors"
	"time"
)

// OwnQueue measures the queue of a server that it starts for that purpose with an empty directory
// data, and therefore knows more of: the start, processor time, memory and syncs.
func OwnQueue(ctx context.Context, program, data string, o QueueOptions) (report *Report, err error) {
	var starts []Line
	start := func(name string) (*machine, error) {
		began := time.Now()
		m, err := startMachine(ctx, program, data, 0)
		starts = append(starts, Line{Name: name, Count: 1}.timed(Sample{time.Since(began)}))
		return m, err
	}
	m, err := start("first start, until it answers")
	if err != nil {
		return nil, err
	}
	if err := m.stop(); err != nil {
		return nil, err
	}
	if m, err = start("start again, until it answers"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	o.RootURL, o.Credentials, o.Batches = m.rootURL, m.credentials, true
	before := m.processes()
	q, err := newQueueRun(o, m.processes)
	if err != nil {
		return nil, err
	}
	defer q.close()
	if err := q.all(ctx); err != nil {
		return nil, err
	}
	report = q.report
	report.Lines = append(report.Lines, starts...)
	after := m.processes()
	report.note("memory of the server: %d MiB before, %d MiB after the load; of PostgreSQL: %d and %d MiB",
		before.memory>>20, after.memory>>20, before.database>>20, after.database>>20)
	return report, report.noteSync(data)
}
