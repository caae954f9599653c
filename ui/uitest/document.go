package uitest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browser is a browser without script.
type Browser struct {
	site *Site
	http http.Client
}

// Browser returns a browser without script that has not signed in.
func (s *Site) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{site: s, http: http.Client{Jar: jar}}
}

// Copy returns a browser with the same cookies, as who stole them has it.
func (b *Browser) Copy(t testing.TB) *Browser {
	t.Helper()
	other := b.site.Browser(t)
	root, err := url.Parse(b.site.URL)
	if err != nil {
		t.Fatal(err)
	}
	other.http.Jar.SetCookies(root, b.http.Jar.Cookies(root))
	return other
}

// SignIn signs the browser in.
func (b *Browser) SignIn(t testing.TB, client, token string) {
	t.Helper()
	d := b.Post(t, "/login", url.Values{"clientId": {client}, "accessToken": {token}})
	if d.Status != http.StatusOK {
		t.Fatalf("sign in as %s: status %d: %s", client, d.Status, d.Text(".notice"))
	}
}

// Document is an answered page.
type Document struct {
	Status int
	Header http.Header
	URL    *url.URL // after redirects
	Body   string
	root   *html.Node
}

// Get asks for a page, following redirects.
func (b *Browser) Get(t testing.TB, path string) *Document {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.site.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.do(t, r)
}

// Post sends a form, following redirects.
func (b *Browser) Post(t testing.TB, path string, form url.Values) *Document {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.site.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(t, r)
}

func (b *Browser) do(t testing.TB, r *http.Request) *Document {
	t.Helper()
	response, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return &Document{response.StatusCode, response.Header, response.Request.URL, string(body), root}
}

// Find returns the elements that match a selector: steps of tag, .class, #id and [name=value], with
// spaces for "somewhere inside".
func (d *Document) Find(selector string) []*html.Node {
	found := []*html.Node{d.root}
	for _, step := range strings.Fields(selector) {
		var next []*html.Node
		seen := map[*html.Node]bool{}
		for _, n := range found {
			for in := range n.Descendants() {
				if in.Type == html.ElementNode && !seen[in] && fits(in, step) {
					seen[in] = true
					next = append(next, in)
				}
			}
		}
		found = next
	}
	return found
}

func fits(n *html.Node, step string) bool {
	for step != "" {
		end := strings.IndexAny(step[1:], ".#[") + 1
		if end == 0 {
			end = len(step)
		}
		part := step[:end]
		step = step[end:]
		switch part[0] {
		case '.':
			if !contains(strings.Fields(Attr(n, "class")), part[1:]) {
				return false
			}
		case '#':
			if Attr(n, "id") != part[1:] {
				return false
			}
		case '[':
			name, value, _ := strings.Cut(strings.Trim(part, "[]"), "=")
			if Attr(n, name) != value {
				return false
			}
		default:
			if n.Data != part {
				return false
			}
		}
	}
	return true
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Attr returns an attribute, "" when there is none.
func Attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Text returns the text of what matches, with single spaces, each match on a line of its own.
func (d *Document) Text(selector string) string {
	var out []string
	for _, n := range d.Find(selector) {
		var text strings.Builder
		for in := range n.Descendants() {
			if in.Type == html.TextNode {
				text.WriteString(in.Data + " ")
			}
		}
		out = append(out, strings.Join(strings.Fields(text.String()), " "))
	}
	return strings.Join(out, "\n")
}
