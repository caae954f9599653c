package ghfake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/form"
)

type obj = map[string]any

// route is an endpoint: its pattern below the API's root, what a token must be allowed, and the form of its body.
type route struct {
	pattern string
	need    string // anybody; "app" for an App's own token; else "permission:level" of an installation token; "" for any token
	body    *form.Form
	do      func(*call) (any, error)
}

// anybody needs no token.
const anybody = "anybody"

// call is a request under way. The double's mutex is held.
type call struct {
	s      *Server
	r      *http.Request
	header http.Header // of the answer
	body   obj
	app    *App
	token  *accessToken // nil for an App's own token
	repo   *Repository  // of {owner}/{repo} or {repository_id}
	status int          // of a success; 200 when 0

	limited time.Duration
	quiet   bool
}

// apiError is a refusal in GitHub's form.
type apiError struct {
	Status        int
	Message       string
	Errors        []any
	Documentation string
}

func (e *apiError) Error() string { return e.Message }

func notFound() error { return &apiError{Status: http.StatusNotFound, Message: "Not Found"} }

func invalid(format string, args ...any) error {
	return &apiError{Status: http.StatusUnprocessableEntity, Message: fmt.Sprintf(format, args...)}
}

// answer is what is written.
type answer struct {
	status int
	header http.Header
	data   []byte
}

// raw is a result that is no JSON.
type raw struct {
	kind string
	data []byte
}

// moved is a result that sends the client elsewhere.
type moved struct {
	status   int
	location string
}

func errorAnswer(e *apiError) answer {
	body := obj{"message": e.Message, "documentation_url": e.Documentation, "status": strconv.Itoa(e.Status)}
	if e.Documentation == "" {
		body["documentation_url"] = "https://docs.github.com/rest"
	}
	if e.Errors != nil {
		body["errors"] = e.Errors
	}
	data, err := json.Marshal(body)
	if err != nil {
		data = []byte(`{"message":"Server Error"}`)
	}
	return answer{status: e.Status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, data: data}
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("X-GitHub-Request-Id", "FAKE:"+strconv.FormatInt(time.Now().UnixNano(), 16))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.data) // a client that has gone away
	}
}

const maxBody = 8 << 20

func (s *Server) serve(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, r: r, header: http.Header{}}
		fail, slow, limited, quiet := s.failures.Take(s.Now())
		c.limited, c.quiet = limited, quiet
		if slow > 0 {
			select {
			case <-time.After(slow):
			case <-r.Context().Done():
			}
		}
		text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		var a answer
		if fail == nil || fail.After {
			a = s.answered(route, c, text)
		}
		if fail != nil && fail.Drop {
			panic(http.ErrAbortHandler) // closes the connection, as net/http documents
		}
		if fail != nil {
			a = errorAnswer(&apiError{Status: fail.Status, Message: http.StatusText(fail.Status)})
		}
		s.note(r, route.pattern, a.status, c.installation())
		s.write(w, r, a)
	})
}

func (c *call) installation() int64 {
	if c.token == nil {
		return 0
	}
	return c.token.installation.ID
}

// answered looks at a request, does what it asks for, and looks at the answer.
func (s *Server) answered(route route, c *call, text []byte) answer {
	if refused := s.inspectRequest(route.pattern, c.r, text); refused != nil {
		return *refused
	}
	a := s.answer(route, c, text)
	s.inspectAnswer(route.pattern, c.r, a)
	return a
}

// answer does what a request asks for.
func (s *Server) answer(route route, c *call, text []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	result, err := c.do(route, text)
	if err != nil {
		refused, ok := errors.AsType[*apiError](err)
		if !ok {
			s.Log.Error("request", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
			refused = &apiError{Status: http.StatusInternalServerError, Message: "Server Error"}
		}
		a := errorAnswer(refused)
		for name, values := range c.header {
			a.header[name] = values
		}
		return a
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
	a := answer{status: c.status, header: c.header}
	switch v := result.(type) {
	case nil:
		a.status = http.StatusNoContent
	case raw:
		a.data = v.data
		a.header.Set("Content-Type", v.kind)
	case moved:
		a.status = v.status
		a.header.Set("Location", v.location)
	default:
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return errorAnswer(&apiError{Status: http.StatusInternalServerError, Message: "Server Error"})
		}
		a.data = bytes.TrimSpace(out.Bytes())
		a.header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return c.conditional(a)
}

// do checks who asks and how, and runs the handler.
func (c *call) do(route route, text []byte) (any, error) {
	var err error
	if route.need != anybody {
		if c.app, c.token, err = c.s.authenticate(c.r); err != nil {
			return nil, err
		}
	}
	if err := c.refuseLimited(); err != nil {
		return nil, err
	}
	if route.need == "app" && c.token != nil {
		return nil, &apiError{Status: http.StatusUnauthorized, Message: "A JSON web token could not be decoded"}
	}
	if err := c.findRepository(route.need); err != nil {
		return nil, err
	}
	if permission, level, ok := strings.Cut(route.need, ":"); ok {
		if c.token == nil {
			return nil, &apiError{Status: http.StatusUnauthorized, Message: "Bad credentials"}
		}
		if !slices.ContainsFunc(strings.Split(permission, "|"), func(p string) bool { return c.token.may(p, level) }) {
			return nil, &apiError{Status: http.StatusForbidden, Message: "Resource not accessible by integration"}
		}
	}
	if err := c.readBody(route.body, text); err != nil {
		return nil, err
	}
	return route.do(c)
}

// findRepository finds the repository of the path, if it names one that the caller reaches. A name from before a
// rename leads to the new one.
func (c *call) findRepository(need string) error {
	name := c.r.PathValue("owner")
	if name == "" && c.r.PathValue("repository_id") == "" {
		return nil
	}
	if name == "" {
		id, err := strconv.ParseInt(c.r.PathValue("repository_id"), 10, 64)
		if err != nil {
			return notFound()
		}
		c.repo = c.s.repos[id]
	} else {
		c.repo = c.s.repoByName(name + "/" + c.r.PathValue("repo"))
	}
	if c.repo == nil || need != "app" && c.token != nil && c.repo.private && !c.token.reaches(c.repo) {
		return notFound()
	}
	if c.token != nil && strings.HasSuffix(need, ":write") && !c.token.reaches(c.repo) {
		return &apiError{Status: http.StatusForbidden, Message: "Resource not accessible by integration"}
	}
	return nil
}

func (c *call) readBody(f *form.Form, text []byte) error {
	c.body = obj{}
	if len(bytes.TrimSpace(text)) == 0 || string(bytes.TrimSpace(text)) == "null" {
		text = []byte("{}") // ghinstallation sends null
	}
	if f == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&c.body); err != nil {
		return &apiError{Status: http.StatusBadRequest, Message: "Problems parsing JSON"}
	}
	problems := f.Problems(c.body)
	if len(problems) == 0 {
		return nil
	}
	return &apiError{
		Status: http.StatusUnprocessableEntity, Message: "Invalid request.\n\n" + strings.Join(problems, "\n"), Errors: each(problems, func(p string) any { return p }),
	}
}

// conditional adds the ETag, and answers 304 when the client has it: that costs no quota.
func (c *call) conditional(a answer) answer {
	if c.r.Method == http.MethodGet && a.status == http.StatusOK {
		sum := sha256.Sum256(a.data)
		tag := `"` + hex.EncodeToString(sum[:]) + `"`
		a.header.Set("ETag", tag)
		a.header.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		if slices.Contains([]string{tag, "W/" + tag}, c.r.Header.Get("If-None-Match")) {
			a.status, a.data = http.StatusNotModified, nil
		}
	}
	if c.token != nil {
		q := &c.token.installation.quota
		if a.status != http.StatusNotModified && c.r.URL.Path != "/api/v3/rate_limit" {
			q.Used++
		}
		q.Headers(a.header)
	}
	return a
}

// page returns the part of a list that the query asks for, and sets the Link header.
func page[T any](c *call, list []T) []T {
	q := c.r.URL.Query()
	size, number := 30, 1
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 {
		number = n
	}
	last := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(rel string, n int) {
		next := url.Values{}
		for k, v := range q {
			next[k] = v
		}
		next.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.s.root, c.r.URL.EscapedPath(), next.Encode(), rel))
	}
	if number > 1 {
		link("prev", number-1)
	}
	if number < last {
		link("next", number+1)
		link("last", last)
	}
	if number > 1 {
		link("first", 1)
	}
	if len(links) > 0 {
		c.header.Set("Link", strings.Join(links, ", "))
	}
	from := min(len(list), (number-1)*size)
	return list[from:min(len(list), from+size)]
}

// each makes a JSON list.
func each[T any](list []T, show func(T) any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = show(v)
	}
	return out
}

func (c *call) pathID(name string) int64 {
	id, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func (c *call) text(key string) string {
	s, _ := c.body[key].(string)
	return s
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
