package doctor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), doctor.Statements...) }

func TestChecksAreIndependentAndBounded(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	told := 0
	report := doctor.Run(t.Context(), []doctor.Check{
		{Name: "fine", Look: func(context.Context) ([]doctor.Finding, error) { return nil, nil }},
		{Name: "deaf", Look: func(context.Context) ([]doctor.Finding, error) { <-block; return nil, nil }},
		{Name: "broken", Look: func(context.Context) ([]doctor.Finding, error) { return nil, errors.New("no route") }},
		{Name: "absent", Skip: "no App"},
		{Name: "ill", Look: func(context.Context) ([]doctor.Finding, error) {
			return []doctor.Finding{doctor.Found("backup-drill", "x"), doctor.Found("db-fsync", "fsync is %s", "off")}, nil
		}},
	}, doctor.Options{Limit: 50 * time.Millisecond, Done: func(doctor.Result) { told++ }})
	type row struct{ Check, Error, Skipped, First string }
	var got []row
	for _, r := range report.Results {
		first := ""
		if len(r.Findings) > 0 {
			first = r.Findings[0].Code
		}
		got = append(got, row{r.Check, r.Error, r.Skipped, first})
	}
	want := []row{{"fine", "", "", ""}, {"deaf", "no answer within 50ms", "", ""}, {"broken", "no route", "", ""}, {"absent", "", "no App", ""}, {"ill", "", "", "db-fsync"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if told != 5 || report.Exit() != doctor.Sick || report.Count(doctor.Hint) != 1 {
		t.Errorf("told %d, exit %d", told, report.Exit())
	}
	if diff := cmp.Diff([]string{"db-fsync"}, report.Codes()); diff != "" {
		t.Error(diff)
	}
	report.Results = report.Results[:3]
	if report.Exit() != doctor.Blinded {
		t.Errorf("exit %d of one that could not look", report.Exit())
	}
	report.Results = report.Results[:1]
	if report.Exit() != doctor.Fine {
		t.Errorf("exit %d of one that is fine", report.Exit())
	}
}

func TestUnknownVariablesHaveTheirNearestName(t *testing.T) {
	known := []string{"TREELINE_DATA", "TREELINE_PULSE_URL", "TREELINE_ROOT_URL"}
	found, err := doctor.Variables([]string{"TREELINE_PULSE_ULR=x", "TREELINE_DATA=y", "HOME=z", "TREELINE_ZEBRA_CROSSING=1"}, known).Look(t.Context())
	if err != nil || len(found) != 2 || !strings.Contains(found[0].What, "TREELINE_PULSE_URL is") || strings.Contains(found[1].What, ";") {
		t.Errorf("%+v %v", found, err)
	}
}

func TestSecretsInFilesAndWords(t *testing.T) {
	dir := t.TempDir()
	open, shut := filepath.Join(dir, "open"), filepath.Join(dir, "shut")
	for path, mode := range map[string]os.FileMode{open: 0o644, shut: 0o600} {
		if err := os.WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	found, err := doctor.Files([]string{open, shut, filepath.Join(dir, "absent")}).Look(t.Context())
	if err != nil || len(found) != 1 || !strings.Contains(found[0].What, open) {
		t.Errorf("%+v %v", found, err)
	}
	for secret, want := range map[string]string{"Guest": "secret-default", "short1": "secret-weak", "aaaaaaaaaaaaaaaa": "secret-weak", "Zk3-fN1SbArXTPSVFNU": ""} {
		if code, _ := doctor.Weak(secret); code != want {
			t.Errorf("%q is %q, want %q", secret, code, want)
		}
	}
}

func TestEveryFindingIsInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/operations/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, k := range doctor.Catalogue {
		row := "| `" + code + "` | " + string(k.Severity) + " | " + k.Why + " | " + strings.ReplaceAll(k.Do, "|", "\\|") + " |\n"
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/operations/doctor.md lacks the row\n%s", row)
		}
	}
}

func TestTheReportSaysWhatWhyAndWhatToDo(t *testing.T) {
	var b strings.Builder
	report := doctor.Report{Results: []doctor.Result{{Check: "database settings", Findings: []doctor.Finding{doctor.Found("db-fsync", "fsync is off")}}}}
	if err := (doctor.Printer{Out: &b}).Report(report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"error: fsync is off (db-fsync)", "why: Nothing that was answered", "do:  ALTER SYSTEM", "1 checks: 1 errors"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colours, and no terminal")
	}
}
