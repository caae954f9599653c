package pulse

import (
	"embed"
	"io/fs"
)

//go:embed schemas
var schemaFiles embed.FS

// Reference is the machine-readable description of a service's exchanges, as clients are generated
// from; json.Marshal gives the document.
type Reference struct {
	Schema      string           `json:"$schema"`
	APIVersion  string           `json:"apiVersion"`
	ServiceName string           `json:"serviceName"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Prefix      string           `json:"exchangePrefix"`
	Entries     []ReferenceEntry `json:"entries"`
}

// ReferenceEntry describes an exchange.
type ReferenceEntry struct {
	Type        string           `json:"type"`
	Exchange    string           `json:"exchange"`
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	RoutingKey  []ReferenceField `json:"routingKey"`
	Schema      string           `json:"schema"`
}

// ReferenceField describes a word of a routing key.
type ReferenceField struct {
	Name     string `json:"name"`
	Summary  string `json:"summary"`
	Constant string `json:"constant,omitempty"`
	Multiple bool   `json:"multipleWords"`
	Required bool   `json:"required"`
}

// Reference returns the service's description. namespace is that of the exchanges' names, see
// Config.
func (s Service) Reference(namespace string) Reference {
	r := Reference{
		Schema: "/schemas/common/exchanges-reference-v0.json#", APIVersion: "v1", ServiceName: s.Name,
		Title: s.Title, Description: s.Description, Prefix: prefix(namespaceOr(namespace), s.Name),
	}
	for _, x := range s.Exchanges {
		entry := ReferenceEntry{
			Type: "topic-exchange", Exchange: x.Exchange, Name: x.Name, Title: x.Title, Description: x.Description,
			Schema: "v1/" + x.Schema + "#",
		}
		for _, f := range x.Key {
			entry.RoutingKey = append(entry.RoutingKey, ReferenceField{f.Name, f.Summary, f.Constant, f.Rest, !f.Optional})
		}
		r.Entries = append(r.Entries, entry)
	}
	return r
}

// Schemas returns the schemas of the service's messages. They refer to schemas of the service's API.
func (s Service) Schemas() (fs.FS, error) { return fs.Sub(schemaFiles, "schemas/"+s.Name) }
