package pulse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
)

// maxKey is the most bytes of a routing key in AMQP.
const maxKey = 255

// message is an event as it is published.
type message struct {
	exchange, key string
	cc            []string
	body          []byte
	id            string
}

// route is where the events of a kind go.
type route struct {
	exchange string // whole name
	key      []Field
}

// routesOf lists where events go, by their kind.
func routesOf(namespace string) map[string]route {
	routes := map[string]route{}
	for _, s := range Services() {
		for _, x := range s.Exchanges {
			routes[x.Exchange] = route{prefix(namespace, s.Name) + x.Exchange, x.Key}
		}
	}
	return routes
}

// words is what routing keys are made of; the members' names in a body are those of the keys' fields.
type words struct {
	Status *struct {
		TaskID        string `json:"taskId"`
		ProvisionerID string `json:"provisionerId"`
		WorkerType    string `json:"workerType"`
		SchedulerID   string `json:"schedulerId"`
		TaskGroupID   string `json:"taskGroupId"`
	} `json:"status"`
	RunID       *int   `json:"runId"`
	WorkerGroup string `json:"workerGroup"`
	WorkerID    string `json:"workerId"`
	TaskGroupID string `json:"taskGroupId"`
	SchedulerID string `json:"schedulerId"`
	// Of repositories. In other events these may be anything.
	Organization any `json:"organization"`
	Repository   any `json:"repository"`
	Action       any `json:"action"`
	// Of worker pools.
	WorkerPoolID   string `json:"workerPoolId"`
	ProviderID     string `json:"providerId"`
	LaunchConfigID string `json:"launchConfigId"`
	Artifact       *struct {
		StorageType string `json:"storageType"`
	} `json:"artifact"`
}

// byField returns the words by the names of fields.
func (w *words) byField() map[string]string {
	fields := map[string]string{
		"workerGroup": w.WorkerGroup, "workerId": w.WorkerID, "taskGroupId": w.TaskGroupID, "schedulerId": w.SchedulerID,
	}
	for name, v := range map[string]any{"organization": w.Organization, "repository": w.Repository, "action": w.Action} {
		fields[name], _ = v.(string)
	}
	if w.WorkerPoolID != "" {
		fields["providerId"], fields["launchConfigId"] = w.ProviderID, w.LaunchConfigID
		fields["provisionerId"], fields["workerType"], _ = strings.Cut(w.WorkerPoolID, "/")
	}
	if s := w.Status; s != nil {
		fields["taskId"], fields["provisionerId"], fields["workerType"] = s.TaskID, s.ProvisionerID, s.WorkerType
		fields["schedulerId"], fields["taskGroupId"] = s.SchedulerID, s.TaskGroupID
	}
	if w.RunID != nil {
		fields["runId"] = strconv.Itoa(*w.RunID)
	}
	return fields
}

// messageOf makes the message of an event. Events that listeners of the exchanges do not get have
// none: ok is false. An error means that the event can never be published.
func messageOf(routes map[string]route, e *event.Event) (m message, ok bool, err error) {
	to, ok := routes[e.Kind]
	if !ok {
		return message{}, false, nil
	}
	var w words
	if err := json.Unmarshal(e.Payload, &w); err != nil {
		return message{}, false, fmt.Errorf("pulse: event %d, %s: its body: %w", e.Position, e.Kind, err)
	}
	// The peer tells nobody of these (taskcluster-map 5.8).
	if w.Artifact != nil && w.Artifact.StorageType == "s3" {
		return message{}, false, nil
	}
	fields := w.byField()
	fields["topic"] = e.Topic
	key, err := keyOf(to.key, fields)
	if err != nil {
		return message{}, false, fmt.Errorf("pulse: event %d, %s: %w", e.Position, e.Kind, err)
	}
	m = message{exchange: to.exchange, key: key, body: e.Payload, id: e.ID}
	for _, r := range e.Routes {
		m.cc = append(m.cc, "route."+r)
	}
	return m, true, nil
}

// keyOf joins the words of a routing key.
func keyOf(fields []Field, by map[string]string) (string, error) {
	list := make([]string, len(fields))
	for i, f := range fields {
		word := by[f.Name]
		if f.Constant != "" {
			word = f.Constant
		}
		switch {
		case word == "" && f.Optional:
			word = "_"
		case word == "":
			return "", fmt.Errorf("its routing key has no %s", f.Name)
		case !f.Rest && strings.Contains(word, "."):
			return "", fmt.Errorf("its routing key cannot hold %s %q, which has a dot", f.Name, word)
		}
		list[i] = word
	}
	key := strings.Join(list, ".")
	if len(key) > maxKey {
		return "", fmt.Errorf("its routing key has %d bytes, more than %d", len(key), maxKey)
	}
	return key, nil
}

// publishing is the message as AMQP carries it (taskcluster-map 18). Listeners read the header CC without a look whether
// it is there, so it is, be it empty.
func (m *message) publishing() amqp.Publishing {
	cc := make([]any, len(m.cc))
	for i, key := range m.cc {
		cc[i] = key
	}
	return amqp.Publishing{
		Headers: amqp.Table{"CC": cc}, ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent,
		MessageId: m.id, Body: m.body,
	}
}
