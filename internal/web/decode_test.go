package web

import (
	"errors"
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
	if errors.Is(err, errDeep) {
		if deep := strings.Count(text, "[") + strings.Count(text, "{"); deep <= maxDepth {
			t.Errorf("%.60q: %d levels are %v", text, deep, err)
		}
		return // the library allows 10,000
	}
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

func TestDepth(t *testing.T) {
	for _, tt := range []struct {
		open, close string
		levels      int
		deep        bool
	}{{"[", "]", maxDepth, false}, {"[", "]", maxDepth + 1, true}, {"[", "", 1_000_000, true}, {`{"a":`, "}", maxDepth, false}, {`{"a":`, "}", maxDepth + 1, true}, {`[{"a":`, "}]", 500_000, true}} {
		text, inside := strings.Repeat(tt.open, tt.levels), ""
		if strings.HasSuffix(tt.open, ":") {
			inside = "1"
		}
		_, err := decoded([]byte(text + inside + strings.Repeat(tt.close, tt.levels)))
		if deep := errors.Is(err, errDeep); deep != tt.deep {
			t.Errorf("%d levels of %s: %v", tt.levels, tt.open, err)
		}
	}
	text := []byte(strings.Repeat("[", 1_000_000))
	if n := testing.AllocsPerRun(1, func() { _, _ = decoded(text) }); n > 10*maxDepth {
		t.Errorf("a million levels take %v allocations", n)
	}
}

func TestAnErrorRepeatsNothingThatIsTooDeep(t *testing.T) {
	text := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	r := &Request{raw: []byte(text), isJSON: true, endpoint: &endpoint{}}
	answer, err := pretty(Failure{RequestInfo: RequestInfo{Payload: r.shown()}})
	if err != nil || len(answer) > 1000 || !strings.Contains(string(answer), "nest more than 1000 levels deep") {
		t.Errorf("%d bytes: %.300s, %v", len(answer), answer, err)
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
