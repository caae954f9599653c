package metrics_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/metrics/promql"
)

// scraped are the metrics and labels that Prometheus itself adds.
var scraped = []string{"job", "instance", "le"}

// judge holds an expression against what a server gives: names, the forms of histograms, labels, and that what counts up is
// looked at over a time.
func judge(t *testing.T, where, text string) {
	t.Helper()
	q, err := promql.Parse(text)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	known, labels := metrics.New(metrics.Options{}).Names(), slices.Clone(scraped)
	for _, s := range q.Selectors {
		if s.Metric == "up" { // Prometheus's own
			continue
		}
		name, form := s.Metric, ""
		f, ok := known[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); !ok && base != name {
				if f, ok = known[base]; ok {
					form = suffix
				}
			}
		}
		switch over := s.In == "rate" || s.In == "increase" || s.In == "irate"; {
		case !ok:
			t.Errorf("%s: there is no metric %s", where, name)
		case (f.Kind == metrics.Histogram) != (form != "") && f.Room != "Runtime":
			t.Errorf("%s: %s is a %s", where, name, f.Kind)
		case (f.Kind == metrics.Counter || form != "") != over && f.Room != "Runtime":
			t.Errorf("%s: %s is a %s: rates are of what counts up", where, name, f.Kind)
		}
		labels = append(labels, f.Labels...)
		for _, l := range s.Labels {
			if !slices.Contains(f.Labels, l) && !slices.Contains(scraped, l) {
				t.Errorf("%s: %s has no label %s", where, name, l)
			}
		}
	}
	for _, l := range q.Grouped {
		if !slices.Contains(labels, l) {
			t.Errorf("%s: none of its metrics has the label %s", where, l)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var legend = regexp.MustCompile(`\{\{(\w+)\}\}`)

func TestDashboardsShowWhatThereIs(t *testing.T) {
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	ids, shown := map[string]bool{}, map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var board struct {
				UID, Title string
				Panels     []struct {
					ID                int
					Type, Title, Unit string
					GridPos           struct{ X, Y, W, H int }
					Targets           []struct{ Expr, LegendFormat string }
				}
			}
			if err := json.Unmarshal(read(t, file), &board); err != nil {
				t.Fatal(err)
			}
			if board.UID == "" || ids[board.UID] || board.Title == "" {
				t.Errorf("the id %q is missing or double, or there is no title", board.UID)
			}
			ids[board.UID] = true
			panels := map[int]bool{}
			for i, p := range board.Panels {
				if panels[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
					t.Errorf("panel %d (%s): its id is double, it has no title, or is too wide", p.ID, p.Title)
				}
				panels[p.ID] = true
				for _, other := range board.Panels[:i] {
					a, b := p.GridPos, other.GridPos
					if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
						t.Errorf("the panels %q and %q overlap", p.Title, other.Title)
					}
				}
				if p.Type != "row" && len(p.Targets) == 0 {
					t.Errorf("the panel %q shows nothing", p.Title)
				}
				for _, target := range p.Targets {
					judge(t, p.Title, target.Expr)
					note(shown, target.Expr)
					for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
						if !strings.Contains(target.Expr, m[1]) && m[1] != "instance" {
							t.Errorf("%s: the legend's %s is not in %s", p.Title, m[1], target.Expr)
						}
					}
				}
			}
		})
	}
	t.Run("every family of the server is on a dashboard", func(t *testing.T) {
		for _, f := range metrics.Families() {
			if !shown[f.Name] && !slices.Contains(onNone, f.Name) {
				t.Errorf("%s is on none", f.Name)
			}
		}
	})
}

// onNone are families for questions that nobody asks all the time.
var onNone = []string{"auth_success_total", "auth_failure_total", "treeline_secrets_read_by_people_total", "treeline_reading_up", "treeline_reading_age_seconds", "treeline_retention_failures"}

// note notes the families that an expression names.
func note(shown map[string]bool, text string) {
	q, err := promql.Parse(text)
	if err != nil {
		return // told already
	}
	for _, s := range q.Selectors {
		shown[s.Metric] = true
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			shown[strings.TrimSuffix(s.Metric, suffix)] = true
		}
	}
}

func TestAlertsAreOfWhatThereIsAndHaveARunbook(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "../../deploy/prometheus/alerts.yml"), &file); err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (\S+)$`).FindAllStringSubmatch(string(read(t, "../../docs/operations/alerts.md")), -1) {
		sections[m[1]] = true
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			judge(t, r.Alert, r.Expr)
			if seen[r.Alert] || r.For == "" || r.Annotations["summary"] == "" || !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
				t.Errorf("%s: it is double, or lacks for, a summary or a severity", r.Alert)
			}
			seen[r.Alert] = true
			page, section, _ := strings.Cut(r.Annotations["runbook_url"], "#")
			if !strings.HasSuffix(page, "/docs/operations/alerts.md") || section != strings.ToLower(r.Alert) || !sections[r.Alert] {
				t.Errorf("%s: the runbook %q is no section of docs/operations/alerts.md", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("there are %d alerts", len(seen))
	}
	for name := range sections {
		if !seen[name] {
			t.Errorf("docs/operations/alerts.md tells of %s, which is no alert", name)
		}
	}
}

func TestScrapeIsWhatTheServerAnswers(t *testing.T) {
	var file struct {
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			MetricsPath   string `yaml:"metrics_path"`
			Authorization struct{ Type string }
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(read(t, "../../deploy/prometheus/scrape.yml"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.ScrapeConfigs) != 1 {
		t.Fatalf("%d jobs", len(file.ScrapeConfigs))
	}
	if j := file.ScrapeConfigs[0]; j.MetricsPath != metrics.Path || j.Authorization.Type != "Bearer" || j.JobName != "treeline" {
		t.Errorf("%+v", j)
	}
}
