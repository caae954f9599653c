package small

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/ui/find"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// document is a reference as the server publishes it: of an API or of exchanges.
type document struct {
	Schema         string  `json:"$schema"`
	ServiceName    string  `json:"serviceName"`
	Version        string  `json:"apiVersion"`
	Title          string  `json:"title"`
	Description    string  `json:"description"`
	ExchangePrefix string  `json:"exchangePrefix"`
	Entries        []entry `json:"entries"`
}

// API tells whether the reference is of an API, and not of exchanges.
func (d document) API() bool { return d.ExchangePrefix == "" }

// entry is a method, or an exchange.
type entry struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Method      string          `json:"method"`
	Route       string          `json:"route"`
	Args        []string        `json:"args"`
	Query       []string        `json:"query"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Category    string          `json:"category"`
	Stability   string          `json:"stability"`
	Scopes      json.RawMessage `json:"scopes"`
	Input       string          `json:"input"`
	Output      string          `json:"output"`
	Exchange    string          `json:"exchange"`
	Schema      string          `json:"schema"`
	RoutingKey  []struct {
		Name     string `json:"name"`
		Summary  string `json:"summary"`
		Constant string `json:"constant"`
		Required bool   `json:"required"`
	} `json:"routingKey"`
}

// references reads what the server publishes of itself.
func (ps *Pages) references(ctx context.Context, root string) ([]document, error) {
	a, err := ask(ctx, ps.Site(), http.MethodGet, root+"/references/references.json", nil)
	if err != nil {
		return nil, err
	}
	var bundle []struct {
		Filename string          `json:"filename"`
		Content  json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &bundle); err != nil {
		return nil, fmt.Errorf("ui: references: %w", err)
	}
	var list []document
	for _, f := range bundle {
		if !strings.HasSuffix(f.Filename, "/api.json") && !strings.HasSuffix(f.Filename, "/exchanges.json") {
			continue
		}
		var d document
		if err := json.Unmarshal(f.Content, &d); err != nil {
			return nil, fmt.Errorf("ui: references: %s: %w", f.Filename, err)
		}
		list = append(list, d)
	}
	slices.SortStableFunc(list, func(a, b document) int { return strings.Compare(a.ServiceName, b.ServiceName) })
	return list, nil
}

type found struct {
	Service string
	entry
	Href string
}

type docsView struct {
	Services []docService
	Query    string
	Hits     []found
	More     bool
}

type docService struct {
	document
	Href string
}

func servicePath(d document) string {
	if d.API() {
		return "/docs/" + d.ServiceName
	}
	return "/docs/" + d.ServiceName + "?of=exchanges"
}

func methodPath(service, name string) string {
	return "/docs/" + url.PathEscape(service) + "/" + url.PathEscape(name)
}

const maxHits = 100

// docs lists the services, or the methods that a search finds.
func (ps *Pages) docs(v *page.Visit) error {
	list, err := ps.references(v.R.Context(), v.Kit.RootURL)
	if err != nil {
		return err
	}
	b := docsView{Query: strings.TrimSpace(v.R.FormValue("q"))}
	for _, d := range list {
		b.Services = append(b.Services, docService{d, servicePath(d)})
	}
	b.Hits = matching(list, b.Query)
	if b.More = len(b.Hits) > maxHits; b.More {
		b.Hits = b.Hits[:maxHits]
	}
	return v.Show(http.StatusOK, page.View{Title: "API reference", Name: "docs", Main: "narrow", Body: b}, nil)
}

// matching are the methods and exchanges of which something has all words, those with the words in the name first.
func matching(list []document, query string) []found {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return nil
	}
	var hits []found
	for _, d := range list {
		for _, e := range d.Entries {
			text := strings.ToLower(d.ServiceName + " " + e.Name + " " + e.Title + " " + e.Route + " " + e.Description + " " + string(e.Scopes))
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
				hits = append(hits, found{d.ServiceName, e, methodPath(d.ServiceName, e.Name)})
			}
		}
	}
	slices.SortStableFunc(hits, func(x, y found) int { return rank(y, words) - rank(x, words) })
	return hits
}

// Methods are the methods of the API with all words of a query in their name, n at most.
func (ps *Pages) Methods(v *page.Visit, query string, n int) ([]find.Hit, error) {
	if ps.Site == nil {
		return nil, nil
	}
	list, err := ps.references(v.R.Context(), v.Kit.RootURL)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(strings.ToLower(query))
	var hits []find.Hit
	for _, h := range matching(list, query) {
		if len(hits) < n && rank(h, words) == len(words) {
			hits = append(hits, find.Hit{Kind: "method", Title: h.Service + "." + h.Name, Detail: h.Title, Href: h.Href})
		}
	}
	return hits, nil
}

func rank(h found, words []string) int {
	name, n := strings.ToLower(h.Service+" "+h.Name), 0
	for _, w := range words {
		if strings.Contains(name, w) {
			n++
		}
	}
	return n
}

type serviceView struct {
	document
	About   template.HTML
	Methods []found
}

func (ps *Pages) service(v *page.Visit) error {
	list, err := ps.references(v.R.Context(), v.Kit.RootURL)
	if err != nil {
		return err
	}
	exchanges := v.R.FormValue("of") == "exchanges"
	for _, d := range list {
		if d.ServiceName != v.R.PathValue("service") || d.API() == exchanges {
			continue
		}
		s := serviceView{document: d, About: prose.Markdown(d.Description)}
		for _, e := range d.Entries {
			s.Methods = append(s.Methods, found{d.ServiceName, e, methodPath(d.ServiceName, e.Name)})
		}
		return v.Show(http.StatusOK, page.View{Title: d.Title, Name: "docservice", Main: "narrow", Body: s}, nil)
	}
	return page.ErrNoPage
}

// methodView is the page of a method or an exchange.
type methodView struct {
	Service  document
	Entry    entry
	About    template.HTML
	Scopes   string
	Input    string // schemas, as text
	Output   string
	Address  string
	CanTry   bool
	Changes  bool // trying it changes something
	Fields   []tryField
	Query    []tryField
	Body     string
	Tried    bool
	Code     int
	Said     string
	Called   string
	Problem  string
	Constant string
}

type tryField struct{ Name, Value string }

func (ps *Pages) find(v *page.Visit) (methodView, error) {
	list, err := ps.references(v.R.Context(), v.Kit.RootURL)
	if err != nil {
		return methodView{}, err
	}
	for _, d := range list {
		for _, e := range d.Entries {
			if d.ServiceName == v.R.PathValue("service") && e.Name == v.R.PathValue("name") {
				return ps.describe(v, d, e), nil
			}
		}
	}
	return methodView{}, page.ErrNoPage
}

func (ps *Pages) describe(v *page.Visit, d document, e entry) methodView {
	m := methodView{Service: d, Entry: e, About: prose.Markdown(e.Description), Scopes: indented(e.Scopes)}
	ctx, root := v.R.Context(), v.Kit.RootURL
	if d.API() {
		m.Address = "/api/" + d.ServiceName + "/" + d.Version + e.Route
		m.Input, m.Output = ps.schema(ctx, root, d, e.Input), ps.schema(ctx, root, d, e.Output)
		m.CanTry, m.Changes = ps.Try != nil && e.Input != web.Blob && e.Output != web.Blob, e.Method != "get"
		for _, name := range e.Args {
			m.Fields = append(m.Fields, tryField{name, v.R.FormValue("arg-" + name)})
		}
		for _, name := range e.Query {
			m.Query = append(m.Query, tryField{name, v.R.FormValue("query-" + name)})
		}
		m.Body = v.R.FormValue("body")
	} else {
		m.Address = d.ExchangePrefix + e.Exchange
		m.Output = ps.schema(ctx, root, d, e.Schema)
	}
	return m
}

func indented(text json.RawMessage) string {
	if len(text) == 0 || string(text) == "null" {
		return ""
	}
	var one string
	if json.Unmarshal(text, &one) == nil {
		return one
	}
	var value any
	if json.Unmarshal(text, &value) != nil {
		return string(text)
	}
	out, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return string(text)
	}
	return string(out)
}

// schema reads a schema that the server publishes; "" without one.
func (ps *Pages) schema(ctx context.Context, root string, d document, name string) string {
	if name == "" {
		return ""
	}
	if name == web.Blob {
		return "bytes"
	}
	address := strings.TrimSuffix(name, "#")
	if !strings.HasPrefix(address, "/") {
		address = "/schemas/" + d.ServiceName + "/" + address
	}
	a, err := ask(ctx, ps.Site(), http.MethodGet, root+address, nil)
	if err != nil || a.status != http.StatusOK {
		return ""
	}
	return a.body.String()
}

func (ps *Pages) method(v *page.Visit) error {
	m, err := ps.find(v)
	if err != nil {
		return err
	}
	return ps.showMethod(v, http.StatusOK, m)
}

func (ps *Pages) showMethod(v *page.Visit, status int, m methodView) error {
	return v.Show(status, page.View{Title: m.Entry.Title, Name: "docmethod", Main: "narrow", Body: m}, nil)
}

// callerKey is under which the context of a tried call has its caller.
type callerKey struct{}

// Caller tells for whom a call is tried; calls that no page made come from nobody.
func Caller(ctx context.Context) (web.Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(web.Caller)
	return c, ok
}

var hole = regexp.MustCompile(`<([A-Za-z0-9_]+)>`)

const maxShown = 200 << 10 // bytes of an answer

// try calls a method in the name of the visitor, as far as their scopes go.
func (ps *Pages) try(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 1<<20)
	m, err := ps.find(v)
	if err != nil {
		return err
	}
	if !m.CanTry {
		return fault.New(fault.Invalid, "This method cannot be tried here.")
	}
	if err := v.Post(); err != nil {
		m.Problem = fault.Message(err)
		return ps.showMethod(v, http.StatusForbidden, m)
	}
	path := hole.ReplaceAllStringFunc(m.Address, func(h string) string { return url.PathEscape(v.R.PostFormValue("arg-" + h[1:len(h)-1])) })
	for _, f := range m.Fields {
		if f.Value == "" {
			m.Problem = "Give a value for " + f.Name + "."
			return ps.showMethod(v, http.StatusBadRequest, m)
		}
	}
	query := url.Values{}
	for _, f := range m.Query {
		if f.Value != "" {
			query.Set(f.Name, f.Value)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body []byte
	if m.Entry.Input != "" {
		body = []byte(m.Body)
	}
	ctx := context.WithValue(v.R.Context(), callerKey{}, v.Caller())
	a, err := ask(ctx, ps.Try(), strings.ToUpper(m.Entry.Method), v.Kit.RootURL+path, body)
	if err != nil {
		return err
	}
	m.Tried, m.Code, m.Called = true, a.status, strings.ToUpper(m.Entry.Method)+" "+path
	m.Said = indented(a.body.Bytes())
	if len(m.Said) > maxShown {
		m.Said = m.Said[:maxShown] + "\n… (the rest is not shown)"
	}
	return ps.showMethod(v, http.StatusOK, m)
}
