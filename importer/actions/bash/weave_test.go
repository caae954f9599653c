package bash

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExpansionsSayWhatTextsWould: a script with expansions prints what it prints where the values stand in its text, as at
// GitHub, whatever quotes are around them.
func TestExpansionsSayWhatTextsWould(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	run := func(t *testing.T, script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bash, "-e", "-c", script)
		cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "A=one", "B=two words", "OTHER=other")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s\n%s", err, out, script)
		}
		return string(out)
	}
	for name, script := range map[string]string{
		"bare":                    "echo @A@ and @B@",
		"double":                  `echo "@A@ 'and' @B@"`,
		"single":                  `echo 'it is "@A@" and $OTHER @B@' '@A@'`,
		"escapes":                 `echo $'tab\t@B@ it\'s @A@'`,
		"escaped quotes":          `echo \' @A@ \" '@B@' "\"@A@'"`,
		"comments":                "echo 1 # don't @A@\necho '@B@' # it's\necho a#'@A@'",
		"substitutions":           "echo \"$(printf '%s|' '@B@' \"@A@\" '$OTHER')\" `echo '@A@'`",
		"braces":                  `echo "${OTHER:+is '@A@'}" ${OTHER:+'@B@'} ${#OTHER}`,
		"subshell":                "(echo '@A@'; (echo '@B@'))",
		"arithmetic":              "echo $((1 << 2)) '@A@' $(( (3) * 2 ))",
		"a document":              "cat <<EOF\n@A@ '@B@' \"$OTHER\"\nEOF\necho '@A@'",
		"a document in quotes":    "cat <<'EOF' | sed 's/@A@/x/'\n@A@ '@B@' $OTHER `date` \\\\n \\$\nEOF\necho '@A@'",
		"a document with tabs":    "cat <<-\"END.X\"\n\t@A@ $OTHER\n\tEND.X\necho '@B@'",
		"two documents":           "cat - /dev/fd/3 <<'X' 3<<\\Y\n$1 @A@\nX\n$2 @B@\nY\necho '@A@'",
		"a document, as it is":    "cat <<'EOF'\n$OTHER \\ `x`\nEOF\necho '@A@'",
		"a word":                  "cat <<<'@A@ $OTHER'",
		"case":                    "case '@A@' in one) echo '@B@' ;; *) echo no ;; esac; echo '@A@'",
		"programs of other tools": `printf '{"v":1}' | sed 's/1/"@A@"/'; awk 'BEGIN { print "@B@", "$OTHER" }'`,
	} {
		t.Run(name, func(t *testing.T) {
			var chunks []Chunk
			for i, part := range strings.Split(script, "@") {
				if i%2 == 0 {
					chunks = append(chunks, Chunk{Text: part})
				} else {
					chunks = append(chunks, Chunk{Text: "$(printf %s \"${" + part + "}\")", Expands: true})
				}
			}
			want := run(t, strings.NewReplacer("@A@", "one", "@B@", "two words").Replace(script))
			if got := run(t, Weave(chunks)); got != want {
				t.Errorf("%s\nprints %q, want %q", Weave(chunks), got, want)
			}
		})
	}
}

// TestDocumentsForOtherShells: a script for another program has its values too, and is otherwise as it was.
func TestDocumentsForOtherShells(t *testing.T) {
	chunks := []Chunk{{Text: "print('"}, {Text: "${A}", Expands: true}, {Text: "', '$B `x` \\n')"}}
	text, quote := Document(chunks)
	file := filepath.Join(t.TempDir(), "x")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "cat > "+file+" <<"+quote+"END"+quote+"\n"+text+"\nEND\n")
	cmd.Env = append(os.Environ(), "A=one", "B=no")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if want := "print('one', '$B `x` \\n')\n"; err != nil || string(b) != want {
		t.Errorf("%q, want %q (%v)", b, want, err)
	}
	if text, quote := Document([]Chunk{{Text: "$B"}}); text != "$B" || quote != "'" {
		t.Errorf("%s in %s", text, quote)
	}
}

func FuzzWeave(f *testing.F) {
	for _, s := range []string{"echo '@'", "cat <<'E'\n@\nE", "((((((@", "\"$(\"${`'", "$'\\", "<<\\", "<<-'x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var chunks []Chunk
		parts := strings.Split(s, "@")
		for i, part := range parts {
			if i > 0 {
				chunks = append(chunks, Chunk{Text: "$V", Expands: true})
			}
			chunks = append(chunks, Chunk{Text: part})
		}
		if got := strings.Count(Weave(chunks), "$V"); got < len(parts)-1 {
			t.Errorf("%d expansions of %d in %q", got, len(parts)-1, s)
		}
	})
}
