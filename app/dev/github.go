package dev

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/ghfake/ghpage"
)

// The double's repository and who owns it.
const (
	doubleOwner = "acme"
	doubleRepo  = doubleOwner + "/" + sample.Name
)

//go:embed github.yml
var doubleConfig string

// double is a double of GitHub beside the server, which is an App of it.
type double struct {
	gh  *ghfake.Server
	app *ghfake.App
}

// startDouble starts the double with the sample repository and an App whose webhooks go to the server. It stands at the
// port after the server's, or a free one.
func startDouble(c Config, rootURL string, port int) (_ *double, err error) {
	o := ghfake.Options{Listen: "127.0.0.1:" + strconv.Itoa(port+1), Log: c.Log, Site: ghpage.New}
	d := &double{}
	if d.gh, err = ghfake.Start(o); err != nil {
		o.Listen = ""
		if d.gh, err = ghfake.Start(o); err != nil {
			return nil, err
		}
	}
	if err := d.fill(rootURL); err != nil {
		_ = d.gh.Close() // it held nothing yet
		return nil, fmt.Errorf("dev: double of GitHub: %w", err)
	}
	return d, nil
}

func (d *double) fill(rootURL string) (err error) {
	if d.app, err = d.gh.AddApp("treeline", rootURL+"/api/github/v1/github", rand.Text()); err != nil {
		return err
	}
	files, err := sample.Files()
	if err != nil {
		return err
	}
	files[".taskcluster.yml"] = doubleConfig
	repo, err := d.gh.AddRepository(doubleRepo, false)
	if err != nil {
		return err
	}
	for _, p := range ghpage.People() {
		d.gh.AddUser(p.Login)
		if p.Role != "none" {
			repo.Grant(p.Login, p.Role)
		}
	}
	_, err = repo.Push(ghpage.People()[0].Login, "main", ghfake.Change{Files: files, Message: "A tiny site generator, with its tests and its work"})
	return err
}

// configure makes the server the double's App. GitHub is told as fast as the double can hear.
func (d *double) configure(c *app.Config) {
	_, secret := d.app.Hook()
	c.GitHub = github.Config{
		AppID: d.app.ID, Key: d.app.PrivateKey(), Secrets: []string{secret}, API: d.gh.APIURL(), CheckPace: checks.Pace{PerSecond: 50, Burst: 50},
	}
	scopes := append(intake.RoleScopes(sample.Name), intake.HookScopes()...)
	role := "repo:github.com/" + doubleRepo
	c.Roles = map[string][]string{role + ":*": scopes, role + ":action:*": intake.ActionScopes(), role + ":pr-action:*": intake.ActionScopes()}
}

// install installs the App, which the server hears of at once.
func (d *double) install() { d.app.Install(doubleOwner) }

func (d *double) stop(context.Context) error { return d.gh.Close() }

// site is where a browser finds the repository.
func (d *double) site() string { return d.gh.URL() + "/" + doubleRepo }
