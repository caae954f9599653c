package screen_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
)

func talk(long bool) string {
	var b bytes.Buffer
	s := screen.New(&b, long)
	s.Stage("kinds")
	s.Warning("w\n")
	s.Stage("full task graph")
	s.Fault("f")
	s.Done()
	s.Note("n")
	s.Print("%d tasks", 3)
	return regexp.MustCompile(`[0-9.]+(µs|ms|s)`).ReplaceAllString(b.String(), "TIME")
}

func TestLines(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		long bool
		want string
	}{
		"plain where it is no terminal": {nil, false, "warning: w\ntreeline: f\nnote: n\n3 tasks\n"},
		"stages with their time":        {nil, true, "warning: w\nkinds TIME\ntreeline: f\nfull task graph TIME\nnote: n\n3 tasks\n"},
		"colours where they are forced": {map[string]string{"FORCE_COLOR": "1"}, false,
			"\x1b[33mwarning:\x1b[0m w\n\x1b[31mtreeline:\x1b[0m f\n\x1b[2mnote:\x1b[0m n\n3 tasks\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FORCE_COLOR", "")
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			if diff := cmp.Diff(c.want, talk(c.long)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
