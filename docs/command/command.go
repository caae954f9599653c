// Package command finds the commands that pages of the documentation have people type, for tests to run them.
package command

import (
	"regexp"
	"slices"
	"strings"
)

// Block is a fenced block of commands in a page: "sh", which is typed as it stands, or "console", in which lines that
// begin with "$ " are typed and the others are answers.
type Block struct {
	Page     string
	Line     int // of its fence, from 1
	Language string
	Lines    []string
	// NotRun says why nobody can run it here: the comment "<!-- not run: … -->" on the line above the fence.
	NotRun string
	// RunBy names the test that types it, where that takes long or needs more than make test may touch, and the target of
	// make that runs this test: "<!-- run by: make TARGET TEST -->".
	RunBy Test
	// Differs says why the answers are only examples: "<!-- answers differ: … -->".
	Differs string
	// Before is what has to be there for a test to run it, and every reader has: "<!-- before: … -->", a script.
	Before string
	// Here says what stands on the machine of a test for words that each reader has another of, in order:
	// "<!-- here: WORD is SCRIPT -->", what the script prints.
	Here []Meaning
	// With names what the page needs besides a server that has run the sample: "<!-- with: database mail -->".
	With []string
	// Stays tells that the last command stays until it is stopped: "<!-- stays: TEXT -->", and that it is up when it
	// has said so.
	Stays string
	// Meanwhile is done, again and again, until it or what stays has said that text: "<!-- meanwhile: SCRIPT -->".
	Meanwhile string
	// File is what a block of another language is to be written into: the line before it ends with `name`: and says
	// so; "" for all others. Append tells that it goes to the end of it: "at the end of `name`:".
	File   string
	Append bool
}

// Test is a test of Go, and the target of make that runs it.
type Test struct{ Target, Name string }

// Meaning is what stands for a word.
type Meaning struct{ Word, Script string }

var (
	fence   = regexp.MustCompile("^( *)```([a-z]*)$")
	mark    = regexp.MustCompile(`^\s*<!-- (not run|run by|answers differ|before|here|with|stays|meanwhile): (.*) -->$`)
	intoKey = regexp.MustCompile("`([^` ]+)`:$")
)

// Blocks are the blocks of commands of a page, and those to be written into files, in order.
func Blocks(page, source string) []Block {
	lines := strings.Split(source, "\n")
	var out []Block
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			continue
		}
		b := Block{Page: page, Line: i + 1, Language: open[2]}
		before := i - 1
		for ; before >= 0 && mark.MatchString(lines[before]); before-- {
			b.mark(mark.FindStringSubmatch(lines[before]))
		}
		slices.Reverse(b.Here)
		for before > 0 && strings.TrimSpace(lines[before]) == "" {
			before--
		}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			b.Lines = append(b.Lines, strings.TrimPrefix(lines[i], open[1]))
		}
		switch b.Language {
		case "sh", "console":
			out = append(out, b)
		default:
			if m := intoKey.FindStringSubmatch(lines[max(before, 0)]); m != nil && b.NotRun == "" {
				b.File, b.Append = m[1], strings.Contains(lines[max(before, 0)], "at the end of `")
				out = append(out, b)
			}
		}
	}
	return out
}

// mark takes what a comment above the block says; comments come from the last to the first.
func (b *Block) mark(comment []string) {
	switch text := comment[2]; comment[1] {
	case "not run":
		b.NotRun = text
	case "run by":
		target, name, _ := strings.Cut(strings.TrimPrefix(text, "make "), " ")
		b.RunBy = Test{target, name}
	case "answers differ":
		b.Differs = text
	case "before":
		b.Before = text
	case "here":
		word, script, _ := strings.Cut(text, " is ")
		b.Here = append(b.Here, Meaning{word, script})
	case "with":
		b.With = strings.Fields(text)
	case "stays":
		b.Stays = text
	case "meanwhile":
		b.Meanwhile = text
	}
}

// Elsewhere tells that the test of all pages does not type the block: another one does, or nobody can.
func (b Block) Elsewhere() bool { return b.NotRun != "" || b.RunBy != Test{} }

// Step is a command, and what it answers; a nil Answer is not told.
type Step struct {
	Line    int
	Command string
	Answer  []string
}

// Steps are the commands of a block: each "$ " line of a console, all of a sh at once.
func (b Block) Steps() []Step {
	if b.Language == "sh" {
		return []Step{{Line: b.Line + 1, Command: strings.Join(b.Lines, "\n")}}
	}
	var out []Step
	for i, line := range b.Lines {
		if typed, ok := strings.CutPrefix(line, "$ "); ok {
			out = append(out, Step{Line: b.Line + 1 + i, Command: typed})
		} else if len(out) > 0 {
			last := &out[len(out)-1]
			if last.Answer == nil && strings.HasSuffix(last.Command, `\`) {
				last.Command += "\n" + line
			} else {
				last.Answer = append(last.Answer, line)
			}
		}
	}
	for i := range out {
		for n := len(out[i].Answer); n > 0 && out[i].Answer[n-1] == ""; n-- {
			out[i].Answer = out[i].Answer[:n-1]
		}
	}
	return out
}

// Fits tells whether what was printed is the answer. A line "…" stands for any number of lines, "…" within a line for any
// text.
func Fits(answer, printed []string) bool {
	if len(answer) == 0 {
		return len(printed) == 0
	}
	if strings.TrimSpace(answer[0]) == "…" {
		for skip := 0; skip <= len(printed); skip++ {
			if Fits(answer[1:], printed[skip:]) {
				return true
			}
		}
		return false
	}
	return len(printed) > 0 && fitsLine(answer[0], printed[0]) && Fits(answer[1:], printed[1:])
}

func fitsLine(answer, printed string) bool {
	parts := strings.Split(answer, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(strings.TrimRight(p, " "))
		if i < len(parts)-1 {
			parts[i] = regexp.QuoteMeta(p)
		}
	}
	ok, err := regexp.MatchString("^"+strings.Join(parts, ".*")+" *$", printed)
	return ok && err == nil
}
