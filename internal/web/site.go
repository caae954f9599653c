package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// endpoint is a row of a table made ready to serve.
type endpoint struct {
	Endpoint
	service       *Service
	route         route
	params, query map[string]*regexp.Regexp
	input, output *jsonschema.Schema
	early         bool     // authorized before the handler
	absent        []string // parameters that this way in lacks
}

// site serves all services.
type site struct {
	Options
	auth    Authenticator
	routes  node
	started time.Time
	// documents are the references and schemas by path. They have megabytes, are made when one is first asked for, and
	// few servers are asked.
	documents func() (map[string][]byte, error)
}

// Mount makes the handler of all services. It serves /api/, /references, /schemas, /ping,
// /robots.txt and /__…__; everything else goes to Options.Fallback. A table that does not hold
// together (a double route, a missing schema, a bad pattern) is an error here, not at a request.
func Mount(services []Service, auth Authenticator, o Options) (http.Handler, error) {
	s := &site{Options: o, auth: auth, started: time.Now()}
	s.RootURL = strings.TrimRight(s.RootURL, "/")
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Patience <= 0 {
		s.Patience = defaultPatience
	}
	if s.Linger <= 0 {
		s.Linger = defaultLinger
	}
	services = slices.Clone(services)
	lib, err := loadSchemas(services, o.References, o.Schemas)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for i := range services {
		if err := s.mount(&services[i], lib); err != nil {
			return nil, fmt.Errorf("web: service %s: %w", services[i].Name, err)
		}
	}
	s.documents = sync.OnceValues(func() (map[string][]byte, error) {
		lib, err := loadSchemas(services, o.References, o.Schemas)
		if err != nil {
			return nil, err
		}
		return s.publish(services, lib)
	})
	return s, nil
}

func (s *site) mount(service *Service, lib *library) error {
	service.Endpoints = append(s.monitoring(), service.Endpoints...)
	names := map[string]bool{}
	for _, row := range service.Endpoints {
		if names[row.Name] || row.Name == "" {
			return fmt.Errorf("the endpoint name %q is missing or double", row.Name)
		}
		names[row.Name] = true
		e := &endpoint{Endpoint: row, service: service}
		prefix := "/api/" + service.Name + "/" + service.Version
		if err := s.routes.add(prefix, e); err != nil {
			return err
		}
		if err := e.compile(lib); err != nil {
			return fmt.Errorf("endpoint %s: %w", row.Name, err)
		}
		for _, other := range row.Also {
			if err := s.routes.add(prefix, e.by(other)); err != nil {
				return err
			}
		}
	}
	return nil
}

// by returns the endpoint as another route leads to it.
func (e *endpoint) by(way string) *endpoint {
	other := *e
	other.Route, other.route = way, route{}
	for _, name := range e.route.params {
		if !strings.Contains(way, "<"+name+">") && !strings.Contains(way, "<"+name+"*>") {
			other.absent = append(other.absent, name)
		}
	}
	return &other
}

// compile makes the patterns and schemas of an endpoint ready.
func (e *endpoint) compile(lib *library) (err error) {
	if e.Handle == nil {
		return fmt.Errorf("it has no handler")
	}
	e.params = map[string]*regexp.Regexp{}
	for _, name := range e.route.params {
		pattern, ok := e.service.Params[name]
		if !ok {
			continue // any value
		}
		if e.params[name], err = lib.pattern(pattern); err != nil {
			return err
		}
	}
	e.query = map[string]*regexp.Regexp{}
	for name, pattern := range e.Query {
		if e.query[name], err = lib.pattern(pattern); err != nil {
			return err
		}
	}
	if e.input, err = lib.schema(e.service, e.Input); err != nil {
		return err
	}
	if e.output, err = lib.schema(e.service, e.Output); err != nil {
		return err
	}
	e.early = e.Scopes != nil && !slices.ContainsFunc(e.Scopes.Params(), func(name string) bool {
		return !slices.Contains(e.route.params, name)
	})
	return nil
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(client http.ResponseWriter, r *http.Request) {
	w, r := patient(client, s.Proxies.resolve(r), s.Patience)
	s.answer(w, r)
	linger(w, r, s.Linger)
}

func (s *site) answer(w *patientWriter, r *http.Request) {
	s.secure(w.Header())
	path := r.URL.EscapedPath()
	switch {
	case s.LocalNames && !s.calledRightly(r):
		s.plainStatus(w, r, http.StatusMisdirectedRequest, problem{"This server answers as " + s.RootURL + " only."})
	case strings.HasPrefix(path, "/api/"):
		s.api(w, r, path)
	case path == "/references" || path == "/schemas" || strings.HasPrefix(path, "/references/") || strings.HasPrefix(path, "/schemas/"):
		s.document(w, r, path)
	case path == "/ping":
		s.plain(w, r, s.alive())
	case path == "/__version__":
		s.plain(w, r, s.Build)
	case path == "/__lbheartbeat__":
		s.lbheartbeat(w, r)
	case path == "/__heartbeat__":
		s.heartbeat(w, r)
	case path == "/robots.txt":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("User-Agent: *\nDisallow: /\n")) // a robot that went away misses nothing
	case s.Fallback != nil:
		s.page(w, r)
	default:
		s.plainStatus(w, r, http.StatusNotFound, problem{"Not found"})
	}
}

// calledRightly reports whether a request was meant for this server, by the name it calls it.
func (s *site) calledRightly(r *http.Request) bool {
	host, _ := hostPort(r)
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback() {
		return true
	}
	own, err := url.Parse(s.RootURL)
	return err == nil && strings.EqualFold(own.Hostname(), host)
}

// problem is the body for an unknown route (taskcluster-map 3.3).
type problem struct {
	Error string `json:"error"`
}

func (s *site) api(w http.ResponseWriter, r *http.Request, path string) {
	headers(w.Header())
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return
	}
	e, params := s.routes.find(r.Method, path)
	if e == nil {
		s.plainStatus(w, r, http.StatusNotFound, problem{"Not found"})
		return
	}
	s.serve(w, r, e, params)
}

// document serves the references and schemas.
func (s *site) document(w http.ResponseWriter, r *http.Request, path string) {
	headers(w.Header())
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return
	}
	documents, err := s.documents()
	body, ok := documents[path]
	switch {
	case err != nil:
		s.Log.ErrorContext(r.Context(), "the references and schemas cannot be made", "err", err)
		s.plainStatus(w, r, http.StatusInternalServerError, problem{"The references and schemas cannot be made; the server's log says why"})
	case !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead):
		s.plainStatus(w, r, http.StatusNotFound, problem{"Not found"})
	default:
		s.send(w, r, http.StatusOK, body)
	}
}

// headers sets what every answer of the API carries (taskcluster-map 3.1).
func headers(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Max-Age", "900")
	h.Set("Access-Control-Allow-Methods", "OPTIONS,GET,HEAD,POST,PUT,DELETE,TRACE,CONNECT")
	h.Set("Access-Control-Request-Method", "*")
	h.Set("Access-Control-Allow-Headers", "X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control")
	h.Set("Cache-Control", "no-store no-cache must-revalidate")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // the API is there for pages of other sites, too
}
