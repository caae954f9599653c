package web

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
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
