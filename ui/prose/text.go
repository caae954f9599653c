package prose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/task"
)

const maxMarkdown = 64 << 10 // bytes; more is shown as it is

// Markdown turns a stranger's Markdown into a few harmless tags: no pictures, no styles, links only
// to the web and without a hint where they come from.
func Markdown(text string) template.HTML {
	if len(text) > maxMarkdown {
		return template.HTML("<p>" + template.HTMLEscapeString(text[:maxMarkdown]) + " …</p>")
	}
	var out bytes.Buffer
	if err := goldmark.Convert([]byte(text), &out); err != nil {
		return template.HTML("<p>" + template.HTMLEscapeString(text) + "</p>")
	}
	policy := bluemonday.NewPolicy()
	policy.AllowElements("p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6")
	policy.AllowAttrs("href").OnElements("a")
	policy.AllowURLSchemes("http", "https")
	policy.AllowRelativeURLs(false)
	policy.RequireParseableURLs(true)
	policy.RequireNoFollowOnLinks(true)
	policy.RequireNoReferrerOnLinks(true)
	return template.HTML(lower.Replace(string(policy.SanitizeBytes(out.Bytes()))))
}

// lower moves headings below those of the pages, which have one h1 and h2s of their own.
var lower = strings.NewReplacer(
	"<h1>", "<h3>", "</h1>", "</h3>", "<h2>", "<h4>", "</h2>", "</h4>", "<h3>", "<h5>", "</h3>", "</h5>", "<h4>", "<h6>", "</h4>", "</h6>",
	"<h5>", "<h6>", "</h5>", "</h6>",
)

// YAML writes a definition as people write them.
func YAML(d task.Definition) (string, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("prose: definition: %w", err)
	}
	// JSON is YAML: this way the order of the keys stays.
	var doc yaml.Node
	if err := yaml.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("prose: definition: %w", err)
	}
	plain(&doc)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return "", fmt.Errorf("prose: definition: %w", err)
	}
	return out.String(), enc.Close()
}

// plain takes JSON's brackets and quotes away where YAML does not need them.
func plain(n *yaml.Node) {
	n.Style = 0
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		plain(c)
	}
}
