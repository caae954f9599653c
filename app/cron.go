package app

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/treeline-ci/treeline/app/actions"
	appcron "github.com/treeline-ci/treeline/app/cron"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/push"
)

// makeCalendar makes the calendar of .cron.yml; intake asks it what decisions are for.
func (a *App) makeCalendar() appcron.Runs {
	a.calendar = cron.New(a.pool, func() { a.cron.Wake() }, a.config.Log)
	return appcron.Runs{Calendar: a.calendar, Tell: func(ctx context.Context, r cron.Run) error { return a.cron.Told(ctx, r) }}
}

// makeCron joins the calendar with the repositories that it follows and with what it starts.
func (a *App) makeCron() {
	a.cron = appcron.New(appcron.Deps{
		Calendar: a.calendar, Push: a.push, Intake: a.intake, Feed: a.feed, RootURL: a.config.RootURL, Log: a.config.Log,
		Branches: func(r push.Repository) []string {
			if list := a.described(r).CronBranches; len(list) > 0 {
				return list
			}
			if r.DefaultBranch == "" {
				return nil
			}
			return []string{r.DefaultBranch}
		},
		Owner: func(r push.Repository) string { return a.described(r).Owner },
		Act:   a.actForCron, Mail: a.mailForCron,
	})
}

func (a *App) startCron(ctx context.Context) error {
	if err := a.registerMercurial(ctx); err != nil {
		return err
	}
	a.cron.Start(ctx)
	a.onStop(func(context.Context) error { a.cron.Stop(); return nil })
	return nil
}

// actForCron starts an action with what the role of a job may do.
func (a *App) actForCron(ctx context.Context, act appcron.Action) (string, error) {
	held, err := a.auth.Expand(ctx, []string{"assume:" + act.Role})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(act.Input) // of YAML; actions take what JSON has
	if err != nil {
		return "", err
	}
	var input any
	if err := json.Unmarshal(text, &input); err != nil {
		return "", err
	}
	started, err := a.actions.Start(ctx, auth.Caller{ClientID: act.Role, Scopes: held}, actions.Start{
		TaskGroupID: act.TaskGroupID, Name: act.Name, Input: input, By: act.By, Key: act.Key,
	})
	return started.TaskID, err
}

// mailForCron tells the owner of a repository. A server without mail tells in the log and on its pages only.
func (a *App) mailForCron(ctx context.Context, m appcron.Mail) error {
	err := a.notify.Mail(ctx, notify.Email{
		Address: m.Address, Subject: m.Subject, Content: notify.Block(m.Text), Link: &notify.Link{Text: "The calendar", Href: m.Link}, Key: m.Key,
	})
	if errors.Is(err, notify.ErrOff) || errors.Is(err, notify.ErrDenied) || errors.Is(err, notify.ErrLimited) {
		a.config.Log.InfoContext(ctx, "nobody is told by mail", "subject", m.Subject, "why", err)
		return nil
	}
	return err
}
