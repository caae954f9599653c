package runtask

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/fetchcontent"
)

// Exit statuses of run-task itself.
const (
	exitFailed     = 1  // sources or fetches could not be had
	exitUsage      = 2  // the arguments or the environment make no sense
	ExitPurgeCache = 72 // a cache is not fit for use: it is to be dropped and the task tried again
	ExitDirectory  = 73 // a volume is not empty, or a directory cannot be made
)

// status is an error that chooses the exit status.
type status struct {
	code    int
	section string
	error
}

func (s *status) Unwrap() error { return s.error }

func failed(code int, section string, err error) error {
	if err == nil {
		return nil
	}
	return &status{code, section, err}
}

// Run does what the arguments say, writes everything to out line by line, and returns the exit
// status: the command's own, or one of run-task's with the reason in out. Started as root it gives up its
// rights, for good, before it touches the network.
func Run(ctx context.Context, args, environ []string, out io.Writer) int {
	r := &runner{out: out, now: time.Now}
	code, err := r.all(ctx, args, environ)
	if s, ok := errors.AsType[*status](err); ok {
		r.say(s.section, "%v", s.error)
		return s.code
	}
	if err != nil {
		r.say("setup", "%s", fault.Message(err))
		return exitUsage
	}
	return code
}

// all is the sequence of a run.
func (r *runner) all(ctx context.Context, args, environ []string) (int, error) {
	workdir, err := os.Getwd()
	if err != nil {
		return 0, failed(ExitDirectory, "setup", err)
	}
	p, err := parse(args, environ, workdir)
	if err != nil {
		return 0, err
	}
	r.env = p.env
	r.say("setup", "run-task started in %s (%s, %s/%s)", workdir, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	as, err := chooseUser(p)
	if err != nil {
		return 0, failed(exitFailed, "setup", err)
	}
	if err := r.openKVM(); err != nil {
		r.say("setup", "/dev/kvm: %v", err)
	}
	if err := r.checkCaches(p, as); err != nil {
		return 0, err
	}
	if err := r.makeDirectories(p, as); err != nil {
		return 0, failed(ExitDirectory, "setup", err)
	}
	if err := r.become(as); err != nil {
		return 0, failed(exitFailed, "setup", err)
	}
	if err := r.checkOutAll(ctx, p); err != nil {
		return 0, failed(exitFailed, "vcs", err)
	}
	if err := r.fetch(ctx, p, workdir); err != nil {
		return 0, failed(exitFailed, "fetches", err)
	}
	if err := r.installRequirements(ctx, p); err != nil {
		return 0, failed(exitFailed, "pip-install", err)
	}
	cwd := p.cwd
	if cwd == "" {
		cwd = workdir
	}
	return r.command(ctx, cwd, p.command), nil
}

// fetch brings what MOZ_FETCHES names into MOZ_FETCHES_DIR.
func (r *runner) fetch(ctx context.Context, p *plan, workdir string) error {
	if p.env["MOZ_FETCHES"] == "" {
		return nil
	}
	list, err := fetchcontent.ParseArtifacts(p.env["MOZ_FETCHES"])
	if err != nil {
		return err
	}
	dir := p.env["MOZ_FETCHES_DIR"]
	if dir == "" {
		dir = filepath.Join(workdir, "fetches")
	}
	lines := r.lines("fetches")
	defer lines.Flush()
	f := fetchcontent.New(func(name string) string { return p.env[name] }, lines)
	return f.Artifacts(ctx, list, dir)
}

// installRequirements installs the Python packages that repositories ask for, each with a known digest.
func (r *runner) installRequirements(ctx context.Context, p *plan) error {
	argv := []string{"python3", "-m", "pip", "install", "--user", "--break-system-packages"}
	if programOn(p.env["PATH"], "uv") {
		argv = []string{"uv", "pip", "install", "--system", "--break-system-packages"}
	}
	if p.env["PIP_DISABLE_REQUIRE_HASHES"] != "1" {
		argv = append(argv, "--require-hashes")
	}
	wanted := false
	for _, c := range p.checkouts {
		if c.requirements != "" {
			argv, wanted = append(argv, "-r", c.requirements), true
		}
	}
	if !wanted {
		return nil
	}
	return r.run(ctx, "pip-install", p.env["TASK_WORKDIR"], argv)
}

func programOn(path, name string) bool {
	for _, dir := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// command runs the task's own command and returns its exit status.
func (r *runner) command(ctx context.Context, dir string, argv []string) int {
	r.say("setup", "Running %s in %s", strings.Join(argv, " "), dir)
	var err error
	if r.env.take(TerminalVariable) != "" {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, r.env.list(), os.Stdin, os.Stdout, os.Stderr
		err = cmd.Run() // whoever types there ends it
	} else {
		err = r.run(ctx, "task", dir, argv)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	}
	if err != nil {
		r.say("setup", "%v", err)
		return 127
	}
	return 0
}

// TerminalVariable is the variable that gives the command run-task's own input and output, for a person who
// types there, in the place of marked lines.
const TerminalVariable = "TREELINE_RUN_TASK_TERMINAL"

// attempts is how often something that crosses the network is tried.
const attempts = 3

// retry calls f again, after 2 and 4 seconds, when it fails.
func (r *runner) retry(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == attempts || ctx.Err() != nil {
			return err
		}
		pause := time.Duration(1<<attempt) * time.Second
		r.say("vcs", "Failed (%v); trying again in %v", err, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// checkOutAll checks out all repositories, parents before those inside them.
func (r *runner) checkOutAll(ctx context.Context, p *plan) error {
	for _, c := range p.checkouts {
		began := r.now()
		r.say("vcs", "Checking out %s into %s", c, c.dir)
		rev, err := r.checkOut(ctx, c)
		if err != nil {
			return err
		}
		p.env[c.prefix+"_HEAD_REV"] = rev
		r.say("vcs", "Checked out %s", rev)
		r.report(c, rev, r.now().Sub(began))
	}
	return nil
}

// report writes what Treeherder picks from logs: a link to the commit, and how long it took where the
// machine has a known type.
func (r *runner) report(c checkout, rev string, took time.Duration) {
	web := strings.TrimSuffix(strings.TrimSuffix(c.head, "/"), ".git")
	if strings.HasPrefix(web, "https://") {
		kind := "commit"
		if c.kind == "hg" {
			kind = "rev"
		}
		r.say("vcs", "TinderboxPrint:<a href='%s/%s/%s' title='Built from %s commit %s'>%s</a>", web, kind, rev, c.name, rev, rev)
	}
	if machine := r.env["TASKCLUSTER_INSTANCE_TYPE"]; machine != "" {
		r.say("vcs", `PERFHERDER_DATA: {"framework":{"name":"vcs"},"suites":[{"name":"checkout_%s","value":%.3f,"lowerIsBetter":true,"shouldAlert":false,"extraOptions":[%q],"subtests":[]}]}`,
			strings.ToLower(c.prefix), took.Seconds(), machine)
	}
}

// checkOut brings c.dir to the wanted revision, reusing what is there, and returns the revision.
func (r *runner) checkOut(ctx context.Context, c checkout) (rev string, err error) {
	remove, err := r.useKey(ctx, &c)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if c.kind == "hg" {
		return r.checkOutHg(ctx, c)
	}
	return r.checkOutGit(ctx, c)
}
