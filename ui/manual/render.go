package manual

import (
	"bytes"
	"fmt"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/treeline-ci/treeline/docs"
)

// body is a page as HTML. It is made once.
func (ps *Pages) body(p *docs.Page) (template.HTML, error) {
	if made, ok := ps.bodies.Load(p); ok {
		return made.(template.HTML), nil
	}
	made, err := render(p)
	if err != nil {
		return "", err
	}
	ps.bodies.Store(p, made)
	return made, nil
}

var (
	anchored = regexp.MustCompile(`<(h[2-6]) id="([^"]+)">(.*?)</h[2-6]>`)
	dressed  = strings.NewReplacer(
		"<table>", `<div class="table-box"><table class="list">`, "</table>", "</table></div>",
		"<pre><code", `<pre class="code"><code`,
	)
)

// render makes HTML of a page. The pages are ours, and yet HTML in them is left out: they are Markdown, wherever they
// are read.
func render(p *docs.Page) (template.HTML, error) {
	md := goldmark.New(
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)), extension.Strikethrough),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(redirect{p}, 100))),
	)
	var out bytes.Buffer
	ctx := parser.NewContext(parser.WithIDs(&ids{slugs: docs.Slugs{}}))
	if err := md.Convert(p.Source, &out, parser.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("ui: docs: %s: %w", p.Name, err)
	}
	html := dressed.Replace(strings.ReplaceAll(out.String(), "<!-- raw HTML omitted -->\n", ""))
	html = anchored.ReplaceAllString(html, `<$1 id="$2">$3 <a class="anchor" href="#$2" aria-label="Link to this part">#</a></$1>`)
	return template.HTML(html), nil
}

// ids gives headings the anchors that forges give them.
type ids struct{ slugs docs.Slugs }

func (i *ids) Generate(value []byte, _ ast.NodeKind) []byte {
	return []byte(i.slugs.Next(string(value)))
}

func (*ids) Put([]byte) {}

// redirect leads links of the page to where the server shows what they lead to.
type redirect struct{ page *docs.Page }

func (r redirect) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function gives no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			n.Destination = []byte(r.page.Target(string(n.Destination)))
		case *ast.Image:
			n.Destination = []byte(r.page.Target(string(n.Destination)))
			n.SetAttributeString("loading", []byte("lazy"))
		}
		return ast.WalkContinue, nil
	})
}
