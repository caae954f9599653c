package conformance_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// badSegments are pieces of a path, as sent, that no parameter is made for.
var badSegments = map[string]string{
	"a zero": "a%00b", "a zero alone": "%00", "a slash": "a%2Fb", "slashes": "%2F%2F", "dots": "%2e%2e", "dots up": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
	"half a character": "%ff%fe", "a long encoding": "%c0%af", "a surrogate": "%ed%a0%80", "letters of Unicode": "%C3%BC%E2%82%AC%F0%9F%98%80",
	"a line end": "a%0Ab", "a line end behind": "abc%0A", "a space": "%20", "a star": "*", "quotes": "%27%22%60", "SQL": "%27;DROP%20TABLE%20tasks;--",
	"a percent sign": "%25", "twice escaped": "%2500", "a parameter": "<taskId>", "a backslash": "..%5c..%5c", "a colon": "a:b", "a tab": "a%09b",
	"long": strings.Repeat("a", 5000), "longer": strings.Repeat("a", 40000), "long slugid": strings.Repeat("A", 22) + "%0A",
	"a number": "-1", "a big number": "99999999999999999999", "a fraction": "1.5", "a run too many": "1000",
}

func TestBadRoutes(t *testing.T) {
	s := serve(t).populate(t)
	var list []attempt
	for _, x := range targets(t) {
		for _, name := range x.args {
			for what, segment := range badSegments {
				args := x.good()
				args[name] = segment
				list = append(list, attempt{x.key() + ": " + name + " is " + what, x.request(x.path(args, name))})
			}
		}
		path := x.path(x.good(), "")
		for _, other := range []string{path + "/", path + "//", path + "/..", path + "%2F", strings.Replace(path, "/v1/", "//v1//", 1), path[:4] + strings.ToUpper(path[4:]), path + ";a=b", path + "?", path + "?#"} {
			list = append(list, attempt{x.key() + " nearly", x.request(other)})
		}
		for _, method := range []string{"HEAD", "PATCH", "TRACE", "OPTIONS", "PROPFIND", strings.ToLower(x.Method)} {
			list = append(list, attempt{x.key() + " by another method", request{method: method, path: path}})
		}
	}
	for _, path := range []string{"/api/", "/api//", "/api/queue", "/api/queue/v2/ping", "/api/%00/v1/ping", "/api/queue/v1/" + strings.Repeat("a/", 5000), "/api/queue/v1/../../auth/v1/ping", "/api/queue/v1/ping/%2e%2e/ping"} {
		list = append(list, attempt{"no route", request{method: "GET", path: path}})
	}
	s.sendAll(t, list)
}

func TestBadQueries(t *testing.T) {
	s := serve(t).populate(t)
	token := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	values := []string{
		"", "0", "-1", "1.5", "99999999999999999999", "x", "%00", "%ff", "%C3%BC", "a%0Ab", strings.Repeat("1", 20000), "%27",
		token(`[]`), token(`[1]`), token(`[1,2,3,4,5]`), token(`[null,null]`), token(`["\u0000"]`), token(`["\u0000","\u0000","\u0000"]`), token(`["\ud800"]`),
		token(`{"a":1}`), token(`["x","y","z"]`), token(`["` + strings.Repeat("x", 20000) + `"]`), token(strings.Repeat("[", 20000)), token(`[1e999]`),
		token(`["2026-01-01T00:00:00Z","x"]`), token(`["0000-01-01T00:00:00Z","x"]`), token(`["99999-01-01T00:00:00Z","x"]`), token("\xff"), "1~fN1SbArXTPSVFNUvaOlinQ", "!!",
	}
	var list []attempt
	for _, x := range targets(t) {
		path := x.path(x.good(), "")
		add := func(query string) { list = append(list, attempt{x.key() + "?" + query, x.request(path + "?" + query)}) }
		for _, name := range append(slices.Clone(x.Query), "unknown") {
			for _, v := range values {
				add(name + "=" + v)
			}
			add(name + "=1&" + name + "=2")
			add(name)
		}
		for _, odd := range []string{"=", "&&&", "a;b", "%zz=1", "%00=1", "limit%5B%5D=1", "bewit=x", "bewit=", "bewit=" + token(`a\1\b\`), strings.Repeat("a=1&", 5000), "__proto__=1"} {
			add(odd)
		}
	}
	s.sendAll(t, list)
}

// badBodies are bodies that are no JSON, or JSON that nobody means.
func badBodies() map[string]string {
	return map[string]string{
		"nothing": "", "cut": `{"a":`, "a scalar": `1`, "null": `null`, "a text": `"x"`, "an array": `[]`, "an empty object": `{}`, "a mark of byte order": "\ufeff{}",
		"two documents": `{}{}`, "rubbish behind": `{} x`, "half a character": "{\"a\": \"\xff\"}", "a half surrogate": `{"a": "\ud800"}`, "a zero": `{"a": "\u0000"}`,
		"a zero as name": `{"\u0000": 1}`, "a raw zero": "{\"a\": \"\x00\"}", "a huge number": `{"a": 1e999999999}`, "a long number": `{"a": ` + strings.Repeat("9", 100000) + `}`,
		"a tiny number": `{"a": 1e-999999999}`, "no number": `{"a": NaN}`, "names twice": `{"a": 1, "a": 2}`, "single quotes": `{'a': 1}`, "a comma too many": `{"a": 1,}`,
		"deep arrays": strings.Repeat("[", 200000), "deep arrays, closed": strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"deep objects": strings.Repeat(`{"a":`, 200000), "deep objects, closed": strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000),
		"many members": `{` + strings.TrimSuffix(strings.Repeat(`"a":1,`, 50000), ",") + `}`, "prototype": `{"__proto__": {"a": 1}, "constructor": 1}`,
		"a long text": `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "a long name": `{"` + strings.Repeat("x", 1<<20) + `": 1}`,
	}
}

func TestBadBodies(t *testing.T) {
	s := serve(t).populate(t)
	var list []attempt
	for _, x := range targets(t) {
		path, method := x.path(x.good(), ""), strings.ToUpper(x.Method)
		if method == "GET" {
			list = append(list, attempt{x.key() + ": a body by GET", request{method: method, path: path, header: jsonHeader(), body: reader(`{"a":`)}})
			continue
		}
		for what, body := range badBodies() {
			list = append(list, attempt{x.key() + ": " + what, request{method: method, path: path, header: jsonHeader(), body: reader(body)}})
		}
		for _, kind := range []string{"", "text/plain", "application/json; charset=utf-16", "application/json;", "application/jsonx", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "a/b/c", "\"", strings.Repeat("x", 5000)} {
			r := x.request(path)
			r.header = http.Header{"Content-Type": {kind}}
			list = append(list, attempt{x.key() + ": type " + kind, r})
		}
		r := x.request(path)
		r.header = http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
		list = append(list, attempt{x.key() + ": says gzip", r})
	}
	s.sendAll(t, list)
}

// nasty are texts that pass many schemas and that a database or a log may choke on.
var nasty = []any{
	"\x00", "a\x00b", "\ufffd", "\U0010ffff", "ü\u202e", "'; DROP TABLE tasks; --", "<script>", "${x}", strings.Repeat("x", 100000), "a\nb", "{{x}}", "**", "a*", "<..>",
	-1.0, 0.0, 1e308, -1e308, 9007199254740993.0, 1e18, "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-01-01T00:00:00+23:59", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00Z",
	map[string]any{"\x00": "\x00"}, map[string]any{"a": []any{"\x00", 1e308}}, map[string]any{"$eval": "x"},
}

// TestBadMembers sends bodies that are nearly right: each place of each body takes each value that the
// schema suggests, and nasty ones.
func TestBadMembers(t *testing.T) {
	s := serve(t).populate(t)
	l := newLibrary(t, served(t))
	var list []attempt
	for _, x := range targets(t) {
		if x.body == nil {
			continue
		}
		method := strings.ToUpper(x.Method)
		schema := l.root("/schemas/" + x.Service + "/" + x.Input)
		done := map[string]bool{}
		for _, base := range l.samples(schema, 0) {
			gathered := newProbes()
			l.probe(schema, "", base, gathered)
			for _, at := range slices.Sorted(maps.Keys(gathered.values)) {
				if done[at] || strings.HasPrefix(at, "/tasks/0/task/") {
					continue // another alternative has it too; or a batch is tasks, and createTask gets their members
				}
				done[at] = true
				gathered.add(at, nasty...)
				for _, value := range gathered.values[at] {
					if body, ok := with(base, place(at), value); ok {
						name := fmt.Sprintf("%s: %s is %.60s", x.key(), at, encoded(value))
						list = append(list, attempt{name, request{method: method, path: x.path(x.good(), ""), header: jsonHeader(), body: reader(x.lively(body))}})
					}
				}
			}
		}
	}
	s.sendAll(t, list)
}

func TestBadHeaders(t *testing.T) {
	s := serve(t).populate(t)
	certificate := func(text string) string {
		return `Hawk id="abc", ts="1", nonce="x", mac="x", ext="` + base64.StdEncoding.EncodeToString([]byte(text)) + `"`
	}
	authorizations := []string{
		"Hawk", "Hawk ", "hawk id", `Hawk id="`, `Hawk id="abc"`, `Hawk id="abc", ts="x", nonce="x", mac="x"`, `Hawk id="abc", ts="99999999999999999999", nonce="x", mac="x"`,
		`Hawk id="abc", id="abc", ts="1", nonce="x", mac="x"`, `Hawk id="` + strings.Repeat("x", 30000) + `", ts="1", nonce="x", mac="x"`, `Hawk id="ü", ts="1", nonce="x", mac="x"`,
		`Hawk id="abc", ts="1", nonce="x", mac="x", ext="!!"`, certificate(`{`), certificate(`[]`), certificate(`{"certificate": 1}`), certificate(`{"certificate": {"version": 99}}`),
		certificate(`{"certificate": {"version": 1, "scopes": ["*"], "start": 1e999, "expiry": "x"}}`), certificate(`{"authorizedScopes": "*"}`), certificate(`{"authorizedScopes": ["\u0000"]}`),
		certificate(`{"authorizedScopes": ["` + strings.Repeat("x", 30000) + `"]}`), certificate(strings.Repeat("[", 20000)),
		"Bearer x", "Basic eDp5", "x", strings.Repeat("x", 40000), "Hawk " + strings.Repeat(`a="b",`, 5000),
	}
	var list []attempt
	for _, x := range targets(t) {
		path := x.path(x.good(), "")
		for _, a := range authorizations {
			r := x.request(path)
			if r.header == nil {
				r.header = http.Header{}
			}
			r.header.Set("Authorization", a)
			list = append(list, attempt{x.key() + fmt.Sprintf(": %.60s", a), r})
		}
		for name, value := range map[string]string{
			"X-Forwarded-Port": "99999999", "X-Forwarded-For": strings.Repeat("1.2.3.4, ", 2000), "X-Forwarded-Proto": "gopher", "X-Taskcluster-Trace-Id": strings.Repeat("é", 500),
			"Accept-Encoding": strings.Repeat("gzip,", 5000), "Range": "bytes=9-1,-,x", "If-None-Match": strings.Repeat(`"x",`, 2000), "Last-Event-ID": "x", "Accept": "image/png", "Cookie": strings.Repeat("a=b; ", 5000),
		} {
			r := x.request(path)
			if r.header == nil {
				r.header = http.Header{}
			}
			r.header.Set(name, value)
			list = append(list, attempt{x.key() + ": " + name, r})
		}
	}
	s.sendAll(t, list)
}
