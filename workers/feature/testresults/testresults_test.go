package testresults_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/workers/feature/testresults"
)

const junit = `<?xml version="1.0"?>
<testsuites><testsuite name="s"><testcase classname="a.B" name="one" time="0.5"/>
<testcase classname="a.B" name="two" time="1,000.25"><failure message="no">at line 3</failure></testcase>
<testcase name="three"><skipped/></testcase><testcase name="four"><error>broke</error></testcase></testsuite></testsuites>`

const goTest = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestX","Output":"x_test.go:3: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestX","Elapsed":0.25}
{"Action":"pass","Package":"p","Test":"TestY","Elapsed":1}
{"Action":"fail","Package":"p","Elapsed":1.3}
`

func TestResultsAreSummedUp(t *testing.T) {
	var s testresults.Summary
	for name, text := range map[string]string{"public/junit.xml": junit} {
		if held, err := s.Add(name, strings.NewReader(text)); !held || err != nil {
			t.Errorf("%s: %v %v", name, held, err)
		}
	}
	if held, err := s.Add("public/test.json", strings.NewReader(goTest)); !held || err != nil {
		t.Errorf("%v %v", held, err)
	}
	s.Finish()
	want := testresults.Summary{
		Version: 1, Tests: 6, Passed: 2, Failed: 3, Skipped: 1, Seconds: 1002,
		Files: []testresults.File{{Name: "public/junit.xml", Format: "junit", Tests: 4, Failed: 2}, {Name: "public/test.json", Format: "go", Tests: 2, Failed: 1}},
		Failures: []testresults.Failure{
			{Test: testresults.Test{Name: "two", Suite: "a.B", Seconds: 1000.25}, Text: "no\nat line 3", File: "public/junit.xml"},
			{Test: testresults.Test{Name: "four"}, Text: "broke", File: "public/junit.xml"},
			{Test: testresults.Test{Name: "TestX", Suite: "p", Seconds: 0.25}, Text: "x_test.go:3: wrong", File: "public/test.json"},
		},
		Slowest: []testresults.Test{{Name: "two", Suite: "a.B", Seconds: 1000.25}, {Name: "TestY", Suite: "p", Seconds: 1}, {Name: "one", Suite: "a.B", Seconds: 0.5},
			{Name: "TestX", Suite: "p", Seconds: 0.25}, {Name: "three"}, {Name: "four"}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestWhatHoldsNoResults(t *testing.T) {
	for _, text := range []string{"", "nonsense", "<html></html>", `{"a": 1}`, "<?xml version='1.0'?><project/>", "{"} {
		var s testresults.Summary
		if held, _ := s.Add("x.xml", strings.NewReader(text)); held {
			t.Errorf("%q was taken for results", text)
		}
	}
	var s testresults.Summary
	if held, err := s.Add("cut.xml", strings.NewReader(junit[:200])); !held || err == nil || s.Tests != 1 {
		t.Errorf("cut off: %v %v, %d tests", held, err, s.Tests)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add(junit)
	f.Add(goTest)
	f.Add("<testsuite><testcase time='-1'/></testsuite>")
	f.Fuzz(func(t *testing.T, text string) {
		var s testresults.Summary
		if _, err := s.Add("x", strings.NewReader(text)); err == nil && s.Passed+s.Failed+s.Skipped != s.Tests {
			t.Errorf("%+v", s)
		}
		s.Finish()
	})
}
