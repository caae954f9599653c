package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// eventually tries until it is so.
func (r *reader) eventually(what string, try func(context.Context) error) {
	r.t.Helper()
	(&machine{instance: r.m.instance, t: r.t}).eventually(time.Minute, what, try)
}

// ada is who has the account at the provider of identities.
var ada = idptest.User{Subject: "6f1c0de7", Name: "ada", Password: "correct horse", Groups: []string{"readers"}}

// bringIdentities runs a provider where the server is registered and Ada has an account.
func (r *reader) bringIdentities() {
	r.t.Helper()
	idp := idptest.New(r.t, r.names["https://ci.example.com"]+"/login/acme/callback")
	idp.ClientID = "treeline"
	idp.Add(ada)
	r.literal["https://id.example.com/realms/acme"] = idp.URL
	r.keep("etc/treeline/acme.secret", idp.ClientSecret)
}

// person sits in front of a browser, and says yes to what programs ask for.
type person struct {
	t    testing.TB
	site *uitest.Site

	mu      sync.Mutex
	tab     *uitest.Tab // nil before the first
	allowed int
}

// bringBrowser puts Ada there, and at the terminal. At the end of the page its shell must have what she gave it last.
func (r *reader) bringBrowser() {
	r.t.Helper()
	p := &person{t: r.t, site: &uitest.Site{URL: r.names["https://ci.example.com"]}}
	r.opens(p.allow)
	r.seated = true
	r.proofs = append(r.proofs, func() {
		out, err := r.typed(`echo "$TASKCLUSTER_CLIENT_ID"`)
		p.mu.Lock() // when the browser has come to rest
		defer p.mu.Unlock()
		if who := "acme/" + ada.Subject + "|" + ada.Name + "/cli-"; err != nil || !strings.HasPrefix(out, who) || p.allowed != 2 {
			r.t.Errorf("after %d times the shell is %s: %v", p.allowed, out, err)
		}
	})
}

// allow signs in, where that is to be done, and gives what is asked for.
func (p *person) allow(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, err := url.Parse(address)
	if err != nil {
		p.t.Error(err)
		return
	}
	before := p.allowed
	defer func() {
		if p.allowed == before { // the program is not to wait for the answer
			if answer, err := http.Get(asked.Query().Get("callback_url") + "?state=" + asked.Query().Get("state")); err == nil {
				_ = answer.Body.Close() // it has gone there, which is all
			}
		}
	}()
	path := strings.TrimPrefix(address, p.site.URL)
	if p.tab == nil {
		p.tab = p.site.Tab(p.t)
		p.tab.Expect("foreign request: ") // the provider's page, and the program's own
		p.tab.Expect("favicon.ico")
		p.tab.Go(p.t, path)
		p.tab.Click(p.t, "a[data-provider=acme]")
		p.tab.Type(p.t, "input[name=name]", ada.Name)
		p.tab.Type(p.t, "input[name=password]", ada.Password+"\r")
		p.tab.Wait(p.t, `document.querySelector("#asked-client") !== null`)
	} else {
		p.tab.Go(p.t, path)
	}
	p.tab.Click(p.t, "button[value=allow]")
	p.tab.Wait(p.t, `document.querySelector("h1")?.textContent === "You are signed in"`)
	p.allowed++
}

// published has a task type it, with the scope that the page gives and a program "publish" that takes the secret and
// nothing else, and returns what it printed.
func (r *reader) published(commands string) (string, error) {
	r.t.Helper()
	const takes = "#!/bin/sh\n[ \"$*\" = --token-from-stdin ] && [ \"$(cat)\" = very-secret ]\n"
	const types = `printf %s "$1" > publish && chmod +x publish && printf %s "$2" > typed && chmod +x typed && PATH="$PWD:$PATH" ./typed`
	id, now := slug.Nice(), time.Now()
	if _, err := r.m.client.CreateTask(r.t.Context(), id, map[string]any{
		"taskQueueId": "local/work", "schedulerId": "local-level-1", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(time.Hour)),
		"scopes":   []string{"secrets:get:project/mine/deploy"},
		"payload":  map[string]any{"command": [][]string{{"sh", "-c", types, "sh", takes, r.command(commands)}}, "maxRunTime": 300, "features": map[string]bool{"taskclusterProxy": true}},
		"metadata": map[string]any{"name": "publish", "description": "What the page has a task type.", "owner": "ada@example.com", "source": "https://example.com"},
	}); err != nil {
		return "", err
	}
	if out, err := r.typed("treeline task wait " + id); err != nil {
		log, _ := r.typed("treeline task log " + id) // what the task is like says enough without it
		return log, fmt.Errorf("the task: %s: %w", out, err)
	}
	log, err := r.typed("treeline task log " + id)
	var printed strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "[taskcluster") {
			printed.WriteString(line)
		}
	}
	return printed.String(), err
}

// visitsLoaner gets into the copy of a task that the last command has shown.
func (r *reader) visitsLoaner() {
	r.t.Helper()
	lent := regexp.MustCompile(`(?m)^(\S+)  \S+ +test-cases-1$`).FindStringSubmatch(r.said)
	if lent == nil {
		r.t.Fatalf("no task is lent:\n%s", r.said)
	}
	(&machine{instance: r.m.instance, t: r.t, client: r.m.client}).visit(lent[1], "private/generic-worker/shell.html")
}

// bringBroker runs a RabbitMQ, whose administrator knows the server's password; and at the end of the page what happens at
// the page's server must have come to a listener.
func (r *reader) bringBroker() {
	r.t.Helper()
	node := rabbittest.Start(r.t)
	script, err := node.Script()
	if err != nil {
		r.t.Fatal(err)
	}
	r.program("rabbitmqctl", "echo password | "+script)
	r.literal["amqps://treeline:password@rabbit.example.com:5671/ci"] = "amqp://treeline:password@" + node.Address() + "/ci"
	r.proofs = append(r.proofs, func() { r.isHeard(node) })
}

// isHeard makes a role, of which RabbitMQ must tell a listener.
func (r *reader) isHeard(node *rabbittest.Node) {
	r.t.Helper()
	node.Control(r.t, "set_permissions", "-p", "ci", rabbittest.User, ".*", ".*", ".*")
	conn, err := amqp.Dial(node.URL() + "ci")
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	var messages <-chan amqp.Delivery
	r.eventually("the server makes its exchanges", func(context.Context) error {
		channel, err := conn.Channel() // one ends with each refusal
		if err != nil {
			return err
		}
		queue, err := channel.QueueDeclare("", false, true, true, false, nil)
		if err != nil {
			return err
		}
		if err := channel.QueueBind(queue.Name, "#", "exchange/taskcluster-auth/v1/role-created", false, nil); err != nil {
			return err
		}
		messages, err = channel.Consume(queue.Name, "", true, true, false, false, nil)
		return err
	})
	if out, err := r.typed(`treeline api auth createRole heard --body '{"description": "Is told of.", "scopes": []}'`); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	r.eventually("a listener hears of the role", func(context.Context) error {
		select {
		case m := <-messages:
			var body struct{ RoleID string }
			if err := json.Unmarshal(m.Body, &body); err != nil || body.RoleID != "heard" {
				return errors.Join(fmt.Errorf("it hears %s", m.Body), err)
			}
			return nil
		default:
			return errors.New("nothing comes")
		}
	})
}
