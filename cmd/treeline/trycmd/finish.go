package trycmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/trypush"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
)

// pushed is what is told of a push, with --json in this form.
type pushed struct {
	Revision string          `json:"revision"`
	PushTo   string          `json:"pushTo"`
	Branch   string          `json:"branch,omitempty"`
	URL      string          `json:"url,omitempty"`
	Message  string          `json:"message"`
	Config   json.RawMessage `json:"config,omitempty"`
}

// finish pushes what is wanted, or shows what would come of it.
func (a *attempt) finish(ctx context.Context, w wanted) error {
	if _, err := a.work.Head(ctx); err != nil {
		return err
	}
	if err := a.aboutChanges(ctx); err != nil {
		return err
	}
	if a.dryRun {
		return a.showGraph(ctx, w)
	}
	now := time.Now()
	d, err := a.destination(ctx, now)
	if err != nil {
		return err
	}
	if !d.isTry {
		a.Screen().Note("config.yml names neither this project nor this branch below \"try\": unless the server's configuration does, it takes this for an ordinary push")
	}
	to := d.remote
	if d.remote != d.address {
		to += " (" + withoutSecrets(d.address) + ")"
	}
	if d.branch != "" {
		to += ", branch " + d.branch
	}
	if w.tasks >= 0 {
		a.say("Pushing %s to %s", plural(w.tasks, "task"), to)
	} else {
		a.say("Pushing to %s", to)
	}
	p := trypush.Push{
		Message: w.message, Changes: a.stageChanges, Address: d.address, Branch: d.branch, Verify: !a.noVerify, Now: now, Stdin: os.Stdin, Said: a.Err(),
	}
	if w.file != nil {
		p.Files = map[string][]byte{tryconfig.Name: w.file}
	}
	revision, err := a.work.Push(ctx, p)
	if err != nil {
		return err
	}
	if err := a.remember(made{now.UTC(), a.work.Dir, a.selector, w.message, string(w.file), w.tasks, revision, d.branch}); err != nil {
		a.Screen().Warning(err.Error())
	}
	return a.told(ctx, pushed{Revision: revision, PushTo: withoutSecrets(d.address), Branch: d.branch, Message: w.message, Config: w.file})
}

// aboutChanges says what becomes of changes that are not committed.
func (a *attempt) aboutChanges(ctx context.Context) error {
	c, err := a.work.Changes(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(c.Tracked) > 0 && a.stageChanges:
		a.Screen().Note(fmt.Sprintf("%s with changes that are not committed go along", plural(len(c.Tracked), "file")))
	case len(c.Tracked) > 0:
		a.Screen().Warning(fmt.Sprintf("%s with changes that are not committed stay behind; --stage-changes takes them along", plural(len(c.Tracked), "file")))
	}
	if c.Untracked > 0 && a.stageChanges {
		a.Screen().Note(fmt.Sprintf("%s unknown to %s stay behind", plural(c.Untracked, "file"), a.work.Kind))
	}
	return nil
}

// told says what was pushed, and where it is seen.
func (a *attempt) told(ctx context.Context, p pushed) error {
	found, why := a.seen(ctx, p.Revision)
	p.URL = found
	if a.json {
		enc := json.NewEncoder(a.Out())
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	a.say("Pushed %s", p.Revision)
	if p.URL == "" {
		a.Screen().Note(why)
		return nil
	}
	_, err := fmt.Fprintln(a.Out(), p.URL)
	return err
}

// withoutSecrets is an address without a password.
func withoutSecrets(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		name, _, secret := strings.Cut(authority[:at], ":")
		if secret {
			authority = name + "@" + authority[at+1:]
		}
	}
	return scheme + "://" + authority + "/" + path
}
