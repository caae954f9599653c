package cron

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/app/intake"
	room "github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
)

// maxSource bounds a .cron.yml, in bytes.
const maxSource = 1 << 20

// look reads the file at the head of a branch and settles the slots that have passed.
func (c *Cron) look(ctx context.Context, b room.Branch) {
	revision, source, wrong, err := c.read(ctx, b)
	var settled room.Settled
	if err == nil {
		settled, err = c.Calendar.Settle(ctx, b, revision, source, wrong)
	} else if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.Log.WarnContext(ctx, ".cron.yml cannot be read; tried again after a while", "repository", b.Repository, "branch", b.Branch, "failures", b.Failures+1, "err", err)
		err = c.Calendar.Fail(context.WithoutCancel(ctx), b, room.Error{Code: "forge", Message: said(err)})
	}
	if err == nil && settled.Error != nil && settled.Error.Code == "bad-file" {
		err = c.tell(ctx, b.Repository, b.Branch, revision, ".cron.yml cannot be used as it is", *settled.Error, "file")
	}
	if err != nil && ctx.Err() == nil {
		c.Log.ErrorContext(ctx, "settle a slot of .cron.yml; tried again soon", "repository", b.Repository, "branch", b.Branch, "err", err)
	}
}

// said is what people may know of an error.
func said(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return "The repository cannot be read. The server's log has the reason."
	}
	return fault.Message(err)
}

// read reads the file at the head of a branch, unless that is where it was read last.
func (c *Cron) read(ctx context.Context, b room.Branch) (revision, source string, wrong *room.Error, err error) {
	repository, err := c.Push.Repository(ctx, b.Repository)
	if err != nil {
		return "", "", nil, err
	}
	forge, err := c.Intake.Open(ctx, repository)
	if err != nil {
		return "", "", nil, err
	}
	heads, err := forge.Heads(ctx)
	if err != nil {
		return "", "", nil, err
	}
	revision = heads[b.Branch]
	if revision == "" {
		return "", "", &room.Error{Code: "no-branch", Message: fmt.Sprintf("The repository has no branch %s.", b.Branch)}, nil
	}
	if revision == b.Revision && (b.Error == nil || b.Error.Code == "bad-file" || b.Error.Code == "forge") {
		return revision, b.Source, tooLarge(b.Error), nil
	}
	tree, err := forge.Tree(ctx, revision)
	if err != nil {
		return "", "", nil, err
	}
	text, err := tree.ReadFile(crontab.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return revision, "", nil, nil
	case errors.Is(err, fault.TooLarge) || len(text) > maxSource:
		return revision, "", &room.Error{Code: "bad-file", File: crontab.Name, Message: fmt.Sprintf("it has more than %d bytes", maxSource)}, nil
	case err != nil:
		return "", "", nil, err
	case !utf8.Valid(text) || strings.ContainsRune(string(text), 0):
		return revision, "", &room.Error{Code: "bad-file", File: crontab.Name, Message: "it is no text in UTF-8"}, nil
	}
	return revision, string(text), nil, nil
}

// tooLarge is the error of a file that was not kept, which parsing anew does not find.
func tooLarge(e *room.Error) *room.Error {
	if e != nil && e.Code == "bad-file" && e.Line == 0 {
		return e
	}
	return nil
}

// tell mails the owner of a repository and the author of its head, once.
func (c *Cron) tell(ctx context.Context, name, branch, revision, subject string, e room.Error, key string) error {
	repository, err := c.Push.Repository(ctx, name)
	if err != nil {
		return err
	}
	to := map[string]bool{c.Owner(repository): true}
	if p, _, err := c.Intake.PushOf(ctx, repository, branch, revision); err == nil {
		to[p.Email] = true
	}
	delete(to, "")
	var errs []error
	for address := range to {
		errs = append(errs, c.Mail(ctx, Mail{
			Address: address, Subject: fmt.Sprintf("%s, branch %s: %s", name, branch, subject), Text: e.String() + "\n\n" + e.Detail,
			Link: c.RootURL + "/cron?repo=" + name, Key: strings.Join([]string{"cron", name, branch, revision, key, address}, "/"),
		}))
	}
	return errors.Join(errs...)
}

// Told mails about a run that is refused.
func (c *Cron) Told(ctx context.Context, r room.Run) error {
	if r.Error == nil {
		return nil
	}
	return c.tell(ctx, r.Repository, r.Branch, r.Revision, "the job "+r.Job+" failed", *r.Error, r.Job+"/"+r.Key)
}

// away is why a run or a branch has to wait: what is wrong is not in the tree.
func away(err error) *room.Error {
	if e := intake.MistakeOf(err); e != nil {
		return nil
	}
	return &room.Error{Code: "forge", Message: said(err)}
}
