package treeherder

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/push"
)

// hgPush tells of a push as hg.mozilla.org does on exchange/hgpushes/v1 (vcs-integration 2.3).
type hgPush struct {
	Payload hgPayload `json:"payload"`
	Meta    hgMeta    `json:"_meta"`
}

type hgPayload struct {
	RepoURL string    `json:"repo_url"`
	Heads   []string  `json:"heads"`
	Source  string    `json:"source"`
	Pushes  []hgEntry `json:"pushlog_pushes"`
}

// hgEntry is a push; Treeherder fetches the full address and takes the first push there.
type hgEntry struct {
	PushID  int64  `json:"pushid"`
	Time    int64  `json:"time"` // Unix seconds
	User    string `json:"user"`
	URL     string `json:"push_json_url"`
	FullURL string `json:"push_full_json_url"`
}

type hgMeta struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
	Serializer string `json:"serializer"`
	Sent       string `json:"sent"`
}

// Pushes gives what makes the messages about pushes, for push.Telling. exchange is the name of theirs, as
// messages repeat it. Those of GitHub have an exchange of their own.
func Pushes(rootURL, exchange string) func(push.Repository, push.Push) ([]event.Event, error) {
	return func(r push.Repository, p push.Push) ([]event.Event, error) {
		if r.Kind == push.GitHub {
			return nil, nil
		}
		payload, err := json.Marshal(pushMessage(rootURL, exchange, r, p))
		return []event.Event{{Kind: KindPush, Topic: r.Name, Payload: payload}}, err
	}
}

// pushMessage is the message about a push. Where the forge keeps a pushlog it is asked for the changesets,
// else this server's is.
func pushMessage(rootURL, exchange string, r push.Repository, p push.Push) hgPush {
	id, base := p.ID, rootURL+"/api/pushlog/v1/repository/"+url.PathEscape(r.Name)
	if p.PushlogID > 0 {
		id, base = p.PushlogID, strings.TrimSuffix(r.URL, "/")
	}
	address := func(more string) string {
		return fmt.Sprintf("%s/json-pushes?version=2%s&startID=%d&endID=%d", base, more, id-1, id)
	}
	return hgPush{
		Payload: hgPayload{
			RepoURL: r.URL, Heads: []string{p.Revision}, Source: "serve",
			Pushes: []hgEntry{{PushID: id, Time: p.Time.Unix(), User: p.Email, URL: address(""), FullURL: address("&full=1")}},
		},
		Meta: hgMeta{Exchange: exchange, RoutingKey: r.Name, Serializer: "json", Sent: p.Time.UTC().Format("2006-01-02T15:04:05.000000")},
	}
}
