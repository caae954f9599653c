package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
)

type object = map[string]any

// persons is a server where some things need two persons, and clients of people.
type persons struct {
	t      *testing.T
	server apptest.Server
	root   *client.Client
}

func newPersons(t *testing.T, guards ...string) persons {
	server := apptest.Start(t, func(c *app.Config) {
		for _, text := range guards {
			g, err := auth.ParseGuard(text)
			if err != nil {
				t.Fatal(err)
			}
			c.TwoPersons = append(c.TwoPersons, g)
		}
	})
	root, err := client.New(client.Config{RootURL: server.URL, Credentials: server.Root})
	if err != nil {
		t.Fatal(err)
	}
	return persons{t, server, root}
}

// client makes a client that may do everything.
func (p persons) client(by *client.Client, id string) *client.Client {
	p.t.Helper()
	var made struct{ AccessToken string }
	in := object{"expires": "2100-01-01T00:00:00Z", "description": "a person", "scopes": []string{"*"}}
	if err := by.Call(p.t.Context(), "auth", http.MethodPut, client.Path("clients", id), nil, in, &made); err != nil {
		p.t.Fatal(err)
	}
	return p.root.WithCredentials(hawk.Credentials{ClientID: id, AccessToken: made.AccessToken})
}

// does makes a call and says what came of it: "" or a part of the refusal.
func (p persons) does(by *client.Client, service, method, path string, in, out any, refusal string) {
	p.t.Helper()
	err := by.Call(p.t.Context(), service, method, path, nil, in, out)
	if refusal == "" && err != nil || refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)) {
		p.t.Fatalf("%s %s: want %q, got %v", method, path, refusal, err)
	}
}

type proposals struct {
	Approvals []struct{ ApprovalID, EntityType, EntityID, Proposer, State, DecidedBy string }
}

// open returns the id of the only open proposal.
func (p persons) open(entity string) string {
	p.t.Helper()
	var list proposals
	if err := p.root.Call(p.t.Context(), "auth", http.MethodGet, "/approvals", map[string][]string{"state": {"open"}}, nil, &list); err != nil {
		p.t.Fatal(err)
	}
	if len(list.Approvals) != 1 || list.Approvals[0].EntityType+" "+list.Approvals[0].EntityID != entity {
		p.t.Fatalf("open proposals: %v, want one of %s", list.Approvals, entity)
	}
	return list.Approvals[0].ApprovalID
}

func TestTwoPersons(t *testing.T) {
	p := newPersons(t, "role:release:*", "hook:release/*", "secret:release/*", "worker-pool:release/*", "client:release/*", "denylist:email/*")
	ann, bob := p.client(p.root, "github/1|ann/laptop"), p.client(p.root, "github/2|bob/laptop")

	t.Run("what is not named needs one", func(t *testing.T) {
		p := persons{t, p.server, p.root}
		p.does(ann, "auth", "PUT", "/roles/other", object{"scopes": []string{"a"}, "description": ""}, nil, "")
	})
	role := object{"scopes": []string{"deploy:*"}, "description": "May deploy."}
	t.Run("a change waits for the second person, and is made once", func(t *testing.T) {
		p := persons{t, p.server, p.root}
		const path = "/roles/release%3Ax"
		p.does(ann, "auth", "PUT", path, role, nil, "needs the approval of a second person")
		p.does(ann, "auth", "PUT", path, role, nil, "needs the approval of a second person") // the same proposal
		approve := "/approvals/" + p.open("role release:x") + "/approve"
		p.does(ann, "auth", "POST", approve, nil, nil, "somebody else must approve")
		phone := p.client(p.root, "github/1|ann/phone")
		p.does(phone, "auth", "POST", approve, nil, nil, "somebody else must approve")
		puppet := p.client(phone, "puppet")
		p.does(puppet, "auth", "POST", approve, nil, nil, "has made or changed the client")
		// Whoever may make clients can sign in any name, which makes nobody two persons.
		posing := func(name string) *client.Client {
			temp, err := hawk.CreateTemporary(ann.Credentials(), hawk.TempOptions{ClientID: name, Scopes: []string{"*"}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return p.root.WithCredentials(temp)
		}
		p.does(posing("github/2|bob/laptop"), "auth", "POST", approve, nil, nil, "not with temporary credentials in another name")
		p.does(posing("zed"), "auth", "PUT", path, role, nil, "not with temporary credentials in another name")
		p.does(ann, "auth", "PUT", path, role, nil, "needs the approval") // nothing happened yet
		p.does(bob, "auth", "POST", approve, nil, nil, "")
		p.does(bob, "auth", "POST", approve, nil, nil, "") // again is no error
		wider := object{"scopes": []string{"deploy:*", "more"}, "description": "May deploy."}
		p.does(ann, "auth", "PUT", path, wider, nil, "needs the approval") // it is not what was approved
		p.does(bob, "auth", "POST", "/approvals/"+p.open("role release:x")+"/refuse", nil, nil, "")
		p.does(bob, "auth", "PUT", path, role, nil, "needs the approval") // nor is it his
		p.does(bob, "auth", "POST", "/approvals/"+p.open("role release:x")+"/refuse", nil, nil, "")
		p.does(ann, "auth", "PUT", path, role, nil, "")
		p.does(ann, "auth", "PUT", path, role, nil, "") // changes nothing
		p.does(ann, "auth", "DELETE", path, nil, nil, "needs the approval")
		p.does(bob, "auth", "POST", "/approvals/"+p.open("role release:x")+"/approve", nil, nil, "")
		p.does(ann, "auth", "DELETE", path, nil, nil, "")
		p.does(ann, "auth", "PUT", path, role, nil, "needs the approval") // an approval is used up
		p.does(ann, "auth", "POST", "/approvals/"+p.open("role release:x")+"/refuse", nil, nil, "")
	})
	t.Run("the other rooms ask too", func(t *testing.T) {
		p := persons{t, p.server, p.root}
		for _, c := range []struct {
			service, method, path, entity string
			in                            any
		}{
			{"hooks", "PUT", "/hooks/release/x", "hook release/x", object{"metadata": object{"name": "x", "description": "x", "owner": "a@example.com"}, "task": object{}}},
			{"secrets", "PUT", "/secret/release%2Fx", "secret release/x", object{"secret": object{"key": "hunter2"}, "expires": "2100-01-01T00:00:00Z"}},
			{"worker-manager", "PUT", "/worker-pool/release%2Fx", "worker-pool release/x", object{"providerId": "static", "description": "x", "owner": "a@example.com", "emailOnError": false, "config": object{}}},
			{"auth", "PUT", "/clients/release%2Fx", "client release/x", object{"expires": "2100-01-01T00:00:00Z", "description": "x", "scopes": []string{}}},
			{"notify", "POST", "/denylist/add", "denylist email/a@example.com", object{"notificationType": "email", "notificationAddress": "a@example.com"}},
		} {
			p.does(ann, c.service, c.method, c.path, c.in, nil, "needs the approval of a second person")
			p.does(bob, "auth", "POST", "/approvals/"+p.open(c.entity)+"/approve", nil, nil, "")
			p.does(ann, c.service, c.method, c.path, c.in, nil, "")
		}
	})
	t.Run("what no room records is in the audit log", func(t *testing.T) {
		p := persons{t, p.server, p.root}
		p.does(ann, "index", "DELETE", "/task/some.where", nil, nil, "")
		var log struct {
			AuditHistory []struct{ ClientID, ActionType, EntityID string }
		}
		if err := p.root.Call(t.Context(), "auth", http.MethodGet, "/audit", map[string][]string{"entityType": {"index"}}, nil, &log); err != nil {
			t.Fatal(err)
		}
		if len(log.AuditHistory) != 1 || log.AuditHistory[0].ClientID != "github/1|ann/laptop" || log.AuditHistory[0].EntityID != "some.where" || log.AuditHistory[0].ActionType != "deleted" {
			t.Errorf("%+v", log)
		}
	})
	t.Run("the audit log tells who, what, and who approved", func(t *testing.T) {
		p := persons{t, p.server, p.root}
		var log struct {
			AuditHistory []struct {
				ClientID, ActionType, EntityID, ApprovedBy string
				Change                                     map[string]struct{ Added, Removed []string }
			}
		}
		q := map[string][]string{"entityType": {"role"}, "entityPrefix": {"release:"}, "clientId": {"github/1|ann/laptop"}, "from": {"2020-01-01T00:00:00Z"}}
		if err := p.root.Call(t.Context(), "auth", http.MethodGet, "/audit", q, nil, &log); err != nil {
			t.Fatal(err)
		}
		var made, gone bool
		for _, r := range log.AuditHistory {
			scopes := r.Change["scopes"]
			made = made || r.ActionType == "created" && r.ApprovedBy == "github/2|bob/laptop" && strings.Join(scopes.Added, " ") == "deploy:*"
			gone = gone || r.ActionType == "deleted" && r.ApprovedBy == "github/2|bob/laptop" && strings.Join(scopes.Removed, " ") == "deploy:*"
		}
		if !made || !gone {
			t.Errorf("%+v", log.AuditHistory)
		}
		reply, err := p.root.CallRaw(t.Context(), http.MethodGet, p.root.URL("auth", "/audit", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(reply.Body), "hunter2") {
			t.Error("the audit log shows a secret")
		}
		p.does(p.root, "auth", "GET", "/audit?from=2020-99-99T00:00:00Z", nil, nil, "is no time")
	})
}
