package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var decodedTexts = []string{
	`{"a":[1,-2.5e3,"x\u00e9\n",true,false,null,{}],"b":{"c":[]}}`, `{"a":1,"a":2}`, "\"a\xffb\"", `"\ud800"`, ` [1 , 2] `, `12345678901234567890123`,
	``, ` `, `{`, `[1,`, `[1]]`, `{} {}`, `{"a"}`, `[1 2]`, `nul`, `01`, `{"a":1,}`, "[\"\x01\"]", strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
}

func sameAsTheLibrary(t *testing.T, text string) {
	want, wantErr := jsonschema.UnmarshalJSON(strings.NewReader(text))
	got, err := decoded([]byte(text))
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%.60q: %v, encoding/json says %v", text, err, wantErr)
	}
	if diff := cmp.Diff(want, got); err == nil && diff != "" {
		t.Errorf("%.60q: %s", text, diff)
	}
}

func TestDecoded(t *testing.T) {
	for _, text := range decodedTexts {
		sameAsTheLibrary(t, text)
	}
}

func FuzzDecoded(f *testing.F) {
	for _, text := range decodedTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 1<<16 {
			sameAsTheLibrary(t, text)
		}
	})
}
