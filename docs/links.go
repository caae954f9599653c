package docs

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Repository is where the project's other files are read, for links that lead out of the documentation.
const Repository = "https://github.com/treeline-ci/treeline/blob/main/"

// Target is where a link of a page leads on the server: "../how-to/github.md#roles" of a reference becomes
// "/docs/how-to/github#roles", a file of the examples or a picture its address below /docs, and what is outside of
// docs/ its address in the repository. Links with a scheme stay as they are.
func (p *Page) Target(link string) string {
	file, anchor, hashed := strings.Cut(link, "#")
	if hashed {
		anchor = "#" + anchor
	}
	if file == "" || strings.Contains(file, ":") || strings.HasPrefix(file, "/") {
		return link
	}
	file = path.Join("docs", path.Dir(p.Name), file)
	inside, ok := strings.CutPrefix(file, "docs/")
	switch {
	case !ok:
		return Repository + file + anchor
	case path.Ext(inside) == ".md":
		return address(strings.TrimSuffix(inside, ".md")) + anchor
	}
	return "/docs/" + inside + anchor
}

// Assets are the names of the files that are no pages, and of the directories of the examples.
func Assets() ([]string, error) {
	var names []string
	err := fs.WalkDir(Files, ".", func(name string, entry fs.DirEntry, err error) error {
		example := strings.HasPrefix(name, "examples")
		if err == nil && (entry.IsDir() && example || !entry.IsDir() && path.Ext(name) != ".md") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("docs: %w", err)
	}
	return names, nil
}

var (
	noSlug     = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	inline     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	plainMarks = strings.NewReplacer("**", "", "`", "", `\|`, "|", `\*`, "*", `\_`, "_")
)

// headingOf takes a line apart that is a heading.
func headingOf(line string) (level int, text string, ok bool) {
	text = strings.TrimLeft(line, "#")
	level = len(line) - len(text)
	return level, strings.TrimSpace(strings.TrimRight(text, "# ")), level > 0 && level <= 6 && strings.HasPrefix(text, " ")
}

// Slug is the anchor that forges give to a heading.
func Slug(heading string) string {
	return strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(Plain(heading)), ""), " ", "-")
}

// Plain is a line of Markdown without its marks: the texts of links, the insides of code.
func Plain(line string) string {
	if strings.Contains(line, "](") {
		line = inline.ReplaceAllString(line, "$1")
	}
	return plainMarks.Replace(line)
}

// Slugs gives anchors to the headings of one page: the second of a kind gets "-1".
type Slugs map[string]int

// Next is the anchor of the page's next heading.
func (s Slugs) Next(heading string) string {
	slug := Slug(heading)
	n := s[slug]
	s[slug]++
	if n > 0 {
		return fmt.Sprintf("%s-%d", slug, n)
	}
	return slug
}

// headings are a page's title and its other headings.
func headings(source string) (title string, list []Heading) {
	slugs := Slugs{}
	eachLine(source, func(line string, code bool) {
		level, text, ok := headingOf(line)
		switch {
		case code || !ok:
		case level == 1 && title == "":
			title = Plain(text)
			slugs.Next(text)
		default:
			list = append(list, Heading{Level: level, Text: Plain(text), Anchor: slugs.Next(text)})
		}
	})
	return title, list
}

// eachLine calls f with the lines of a page, and whether they are code or a comment; fences are code.
func eachLine(source string, f func(line string, code bool)) {
	fence, comment := "", false
	base, blank, indented := 0, true, false // of the list that one is in; of the line before
	for line := range strings.Lines(source) {
		line = strings.TrimRight(line, "\r\n")
		mark := strings.TrimLeft(line, " ")
		indent := len(line) - len(mark)
		switch {
		case fence != "":
			f(line, true)
			if strings.HasPrefix(mark, fence) && strings.Trim(mark, fence[:1]+" ") == "" {
				fence = ""
			}
			continue
		case strings.HasPrefix(mark, "```"), strings.HasPrefix(mark, "~~~"):
			fence = mark[:3]
			f(line, true)
			continue
		case comment || strings.HasPrefix(mark, "<!--"):
			comment = !strings.Contains(line, "-->")
			f(line, true)
			continue
		case mark == "":
			f(line, false)
			blank = true
			continue
		case indent == 0:
			base = listIndent(mark)
		}
		indented = indent >= base+4 && (blank || indented)
		blank = false
		f(line, indented)
	}
}

// listIndent is how far the text of a list's entry is indented; 0 for what is no entry.
func listIndent(line string) int {
	digits := strings.TrimLeft(line, "0123456789")
	switch {
	case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
		return 2
	case len(digits) < len(line) && strings.HasPrefix(digits, ". "):
		return len(line) - len(digits) + 2
	}
	return 0
}
