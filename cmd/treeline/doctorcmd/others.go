package doctorcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/probe"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
)

// own are the checks of the configuration and the machine.
func (d *deployment) own() []doctor.Check {
	checks := []doctor.Check{fixed("configuration", d.found...), doctor.Variables(os.Environ(), variables()), doctor.Files(d.files), fixed("passwords", weaknesses(d.passwords())...), d.nonsense()}
	if d.data != "" {
		checks = append(checks, doctor.Disk(d.data, 0))
	}
	for _, s := range d.config.Objects.Stores {
		if s.Disk != "" {
			checks = append(checks, doctor.Disk(s.Disk, 0))
		}
	}
	return checks
}

// others are the checks of what a server needs besides the database. None sends anything, and none leaves
// anything but the record that the App's secret was read. pool may be nil.
func (d *deployment) others(pool *pgxpool.Pool) []doctor.Check {
	c, github := &d.config, &hub{d: d, pool: pool}
	skip := func(there bool, why string) string {
		if there {
			return ""
		}
		return why
	}
	hg := slices.ContainsFunc(c.Remote, func(r app.Repository) bool { return r.Kind == "hg" })
	return []doctor.Check{
		{Name: "object stores", Skip: skip(d.data != "", "TREELINE_DATA is not set"), Look: d.stores},
		{Name: "GitHub", Skip: github.skip(), Look: github.look},
		{Name: "clock of GitHub", Skip: github.skip(), Look: github.clock},
		{Name: "Mercurial", Skip: skip(hg, "no repository is configured"), Look: d.mercurial},
		{Name: "local repositories", Skip: skip(len(c.Repositories) > 0, "none is given (--repo)"), Look: d.local},
		{Name: "RabbitMQ", Skip: skip(c.Pulse.URL != "", "none is configured"), Look: d.rabbit},
		{Name: "traces", Skip: skip(c.Traces.On(), "no receiver is configured"), Look: d.traces},
		{Name: "mail", Skip: skip(c.Notify.SMTP.On(), "none is configured"), Look: d.mail},
		{Name: "Slack", Skip: skip(c.Notify.Slack.Token != "", "none is configured"), Look: d.slack},
		{Name: "Matrix", Skip: skip(c.Notify.Matrix.Token != "", "none is configured"), Look: d.matrix},
	}
}

func (d *deployment) stores(ctx context.Context) (found []doctor.Finding, err error) {
	if _, err := os.Stat(d.config.DataDir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: no server has started with this TREELINE_DATA", d.config.DataDir) // a probe would make it
	}
	for _, p := range probe.Stores(ctx, d.config) {
		if p.Err != nil {
			found = append(found, doctor.Found("storage-broken", "the object store %s: %v", p.Name, p.Err))
		}
		for _, rule := range p.Expiring {
			found = append(found, doctor.Found("storage-lifecycle", "the object store %s: %s", p.Name, rule))
		}
	}
	return found, nil
}

func (d *deployment) mercurial(ctx context.Context) (found []doctor.Finding, err error) {
	for _, p := range probe.Mercurial(ctx, d.config) {
		if p.Err != nil {
			found = append(found, doctor.Found("hg-unreachable", "the repository %s: %v", p.Name, p.Err))
		}
	}
	return found, nil
}

func (d *deployment) local(ctx context.Context) (found []doctor.Finding, err error) {
	for _, r := range d.config.Repositories {
		if _, err := localgit.Open(ctx, r.Path); err != nil {
			found = append(found, doctor.Found("git-unreadable", "%v", err))
		}
	}
	return found, nil
}

func (d *deployment) rabbit(ctx context.Context) ([]doctor.Finding, error) {
	c := d.config.Pulse
	c.Log = slog.New(slog.DiscardHandler)
	blocked, err := c.Probe(ctx)
	switch {
	case err != nil:
		return []doctor.Finding{doctor.Found("rabbit-unusable", "%v", err)}, nil
	case blocked != "":
		return []doctor.Finding{doctor.Found("rabbit-blocked", "RabbitMQ takes no messages: %s", blocked)}, nil
	}
	return nil, nil
}

// probed makes a finding of what somebody does not take.
func probed(code string, err error) ([]doctor.Finding, error) {
	if err == nil {
		return nil, nil
	}
	return []doctor.Finding{doctor.Found(code, "%v", err)}, nil
}

func (d *deployment) mail(ctx context.Context) ([]doctor.Finding, error) {
	sender, err := mail.New(d.config.Notify.SMTP, d.config.RootURL)
	if err == nil {
		err = sender.Probe(ctx)
	}
	return probed("mail-unusable", err)
}

func (d *deployment) slack(ctx context.Context) ([]doctor.Finding, error) {
	s, err := chat.NewSlack(d.config.Notify.Slack, slog.New(slog.DiscardHandler))
	if err == nil {
		err = s.Probe(ctx)
	}
	return probed("slack-unusable", err)
}

func (d *deployment) matrix(ctx context.Context) ([]doctor.Finding, error) {
	m, err := chat.NewMatrix(d.config.Notify.Matrix, slog.New(slog.DiscardHandler))
	if err == nil {
		err = m.Probe(ctx)
	}
	return probed("matrix-unusable", err)
}
