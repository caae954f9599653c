// Package notifyapi is the HTTP door of notify (taskcluster-map 9 and appendix A).
package notifyapi

import (
	"embed"
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/notify"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct{ notify *notify.Notify }

// Service is the table of endpoints of the service notify.
func Service(n *notify.Notify) web.Service {
	d := &door{n}
	return web.Service{
		Name: "notify", Version: "v1", Title: "Notification Service",
		Description: "Tells people and programs what happens, by mail, Slack, Matrix and pulse: when it is called, and when tasks with routes " +
			"`notify.<channel>.<address>.on-<event>` get somewhere.",
		Schemas:   schemas,
		Endpoints: append(append(d.sending(), d.denying()...), d.operating()...),
	}
}

const sameAgain = " The answer is 204, and nothing is sent, when the same call was made within the last hour."

func (d *door) sending() []web.Endpoint {
	post := func(name, channel, to, input, title, description string, handle handler) web.Endpoint {
		return web.Endpoint{
			Name: name, Method: http.MethodPost, Route: "/" + name, Category: "Notifications", Stability: "experimental",
			Scopes: scope.Text("notify:" + channel + ":<" + to + ">"), Input: input, Handle: handle, Title: title, Description: description + sameAgain,
		}
	}
	return []web.Endpoint{
		post("email", "email", "address", "email-request.json", "Send an Email",
			"Sends a mail. The content is Markdown: it goes out as it is for programs that show text, and as HTML without anything harmful for the "+
				"others, where a link is a button. An address gets at most 50 mails within ten minutes; for more the answer is 204, too.", d.email),
		post("pulse", "pulse", "routingKey", "pulse-request.json", "Publish a Pulse Message",
			"Publishes a message on the exchange `notification` with a routing key, and in the feed of events.", d.pulse),
		post("matrix", "matrix-room", "roomId", "matrix-request.json", "Post Matrix Message",
			"Speaks in a room of Matrix, which is named by its internal id, such as `!whDRjjSmICCgrhFHsQ:example.org`. The user of this server must have "+
				"been invited to the room.", d.matrix),
		post("slack", "slack-channel", "channelId", "slack-request.json", "Post Slack Message",
			"Posts to a channel of Slack, which is named by its id, such as `C123456GZ`. The app of this server must have been added to private channels.", d.slack),
	}
}

func (d *door) denying() []web.Endpoint {
	manage := scope.Text("notify:manage-denylist")
	return []web.Endpoint{
		{
			Name: "addDenylistAddress", Method: http.MethodPost, Route: "/denylist/add", Category: "Denylist", Stability: "experimental",
			Scopes: manage, Input: "notification-address.json", Handle: d.deny, Title: "Denylist Given Address",
			Description: "Nothing is sent to the address any more, in whatever case a call or a route writes it.",
		},
		{
			Name: "deleteDenylistAddress", Method: http.MethodDelete, Route: "/denylist/delete", Category: "Denylist", Stability: "experimental",
			Scopes: manage, Input: "notification-address.json", Handle: d.allow, Title: "Delete Denylisted Address",
			Description: "Takes the address off the denylist; it is no error when it is not there.",
		},
		{
			Name: "listDenylist", Method: http.MethodGet, Route: "/denylist/list", Category: "Denylist", Stability: "experimental",
			Query:  map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern},
			Scopes: manage, Output: "notification-address-list.json", Handle: d.denied, Title: "List Denylisted Notifications",
			Description: "The addresses that nothing is sent to, page by page.",
		},
	}
}

// operating are endpoints of our own (docs/reference/api-additions.md).
func (d *door) operating() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "sendTest", Method: http.MethodPost, Route: "/test", Category: "Operation", Stability: "experimental",
			Scopes: scope.Text("notify:<notificationType>:<notificationAddress>"), Input: "notification-address.json", Output: "test-response.json",
			Handle: d.test, Title: "Send a test",
			Description: "Sends a test message, which is never taken for a duplicate, and says what stands in its way.",
		},
		{
			Name: "listNotifications", Method: http.MethodGet, Route: "/notifications", Category: "Operation", Stability: "experimental",
			Query:  map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern, "state": `^(waiting|sent|failed|limited|denied)(,(waiting|sent|failed|limited|denied))*$`},
			Scopes: scope.Text("notify:list-notifications"), Output: "notifications.json", Handle: d.list, Title: "List notifications",
			Description: "What became of the notifications of the last 14 days, the newest first: those in the given states, or, without `state`, those that " +
				"wait, failed or were left out. Their texts are not shown.",
		},
	}
}
