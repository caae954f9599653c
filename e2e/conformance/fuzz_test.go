package conformance_test

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzRequest sends any path, query, header and body to any endpoint of a whole server: it never
// fails, and its refusals have the shape that clients know.
func FuzzRequest(f *testing.F) {
	s := serve(f).populate(f)
	list := targets(f)
	c := browser()
	f.Cleanup(c.CloseIdleConnections)
	for i, x := range list {
		body := ""
		if x.body != nil {
			body = x.lively(x.body)
		}
		query := ""
		if len(x.Query) > 0 {
			query = strings.Join(x.Query, "=1&") + "=1"
		}
		f.Add(uint(i), strings.TrimPrefix(x.path(x.good(), ""), "/api/"+x.Service+"/v1"), query, "application/json", "", body)
	}
	f.Fuzz(func(t *testing.T, which uint, path, query, kind, authorization, body string) {
		x := list[which%uint(len(list))]
		r := request{method: strings.ToUpper(x.Method), path: "/api/" + x.Service + "/v1/" + escaped(strings.TrimPrefix(path, "/")), header: http.Header{}}
		if query != "" {
			r.path += "?" + escaped(query)
		}
		r.header.Set("Content-Type", printable(kind))
		if authorization != "" {
			r.header.Set("Authorization", printable(authorization))
		}
		if body != "" && r.method != http.MethodGet {
			r.body = reader(body)
		}
		got, err := s.send(t, c, r)
		if err != nil {
			t.Fatalf("%s %q: %v", r.method, r.path, err)
		}
		if bad := got.problem(); bad != "" {
			t.Errorf("%s %q %q: %s", r.method, r.path, body, bad)
		}
	})
}

const hexDigits = "0123456789ABCDEF"

// escaped writes bytes that cannot stand in a request's first line as escapes, and leaves escapes
// that are whole.
func escaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		whole := c == '%' && i+2 < len(s) && strings.IndexByte(hexDigits, upper(s[i+1])) >= 0 && strings.IndexByte(hexDigits, upper(s[i+2])) >= 0
		if c > ' ' && c < 0x7f && (c != '%' || whole) && c != '#' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// printable leaves out what a client refuses to send in a header.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, s))
}
