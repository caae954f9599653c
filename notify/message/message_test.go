package message_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/yuin/goldmark"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/notify/message"
)

func TestMailAddresses(t *testing.T) {
	for _, good := range []string{"a@example.com", "a.b+c@x.example.com", "x@localhost", "jürgen@exämple.de", "o'neil@example.com"} {
		if err := message.CheckMailAddress("address", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a", "@example.com", "a@", "a b@example.com", "A <a@example.com>", "<a@example.com>", "a@example.com,b@example.com", "a@example.com\r\n", "a@exa\nmple.com", "a@x\x00",
		strings.Repeat("a", 250) + "@example.com",
	} {
		if err := message.CheckMailAddress("address", bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzCode holds that text of people is shown as it is, whatever Markdown it holds.
func FuzzCode(f *testing.F) {
	for _, seed := range []string{"x", "`", "``a`", "<b>", " \n ", "a\r\nb", "\\`", "```\n# x", "[a](b)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, markdown := range []string{message.Code(text), message.Block(text)} {
			var out strings.Builder
			if err := goldmark.Convert([]byte(markdown), &out); err != nil {
				t.Fatal(err)
			}
			html := out.String()
			if !strings.HasPrefix(html, "<p><code>") && !strings.HasPrefix(html, "<pre><code>") || strings.Count(html, "<code>") != 1 {
				t.Errorf("%q became %s", text, html)
			}
			for _, tag := range strings.Split(html, "<")[1:] {
				if name := strings.TrimPrefix(tag, "/"); !strings.HasPrefix(name, "p>") && !strings.HasPrefix(name, "pre>") && !strings.HasPrefix(name, "code>") {
					t.Errorf("%q became %s", text, html)
				}
			}
		}
	})
}
