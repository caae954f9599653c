package web

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDeepAnswersAreNotLaidOut(t *testing.T) {
	for _, tt := range []struct {
		name, compact string
		laidOut       bool
	}{
		{"a plain object", `{"a":[1,{"b":"c"}]}`, true},
		{"brackets in texts", `{"a":"` + strings.Repeat("[", 5000) + `\"["}`, true},
		{"a long list of words", "[" + strings.Repeat(`"word",`, 100000) + `"x"]`, true},
		{"a little depth", strings.Repeat("[", 50) + strings.Repeat("]", 50), true},
		{"a deep nest", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), false},
		{"much in a deep nest", strings.Repeat(`{"a":[`, 200) + strings.Repeat("1,", 10000) + "1" + strings.Repeat("]}", 200), false},
	} {
		got, err := indented([]byte(tt.compact))
		if err != nil || !json.Valid(got) || len(got) > 12*len(tt.compact)+(32<<10) {
			t.Errorf("%s: %d bytes, %v", tt.name, len(got), err)
		}
		if laidOut := bytes.Contains(got, []byte("\n")); laidOut != tt.laidOut {
			t.Errorf("%s: laid out: %t", tt.name, laidOut)
		}
	}
}

// What the library that writes answers does otherwise than encoding/json would be seen by every client.
func TestAnswersAreWrittenAsEncodingJSONDoes(t *testing.T) {
	type inner struct {
		N json.Number     `json:"n"`
		R json.RawMessage `json:"r,omitempty"`
	}
	for _, v := range []any{
		nil, map[string]any{}, []string{}, []string(nil), map[string]any(nil), inner{}, &inner{N: "12.50", R: json.RawMessage(`{"b": [1,2],"a":"<&>"}`)},
		map[string]any{"n": json.Number("1e3"), "z": 1.5, "a": int64(1) << 60, "f": 1e21, "s": "<script>&\u2028\x00\"", "t": time.Unix(0, 0).UTC(), "b": []byte("bytes")},
		[]any{true, nil, 3, struct {
			A int            `json:"a,omitempty"`
			B *string        `json:"b"`
			C map[int]string `json:"c"`
			D any            `json:"-"`
		}{C: map[int]string{2: "two", 10: "ten"}}},
	} {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		got, err := pretty(v)
		if diff := cmp.Diff(strings.TrimSuffix(want.String(), "\n"), string(got)); err != nil || diff != "" {
			t.Errorf("%#v: %v %s", v, err, diff)
		}
	}
}
