// Package deploy_test holds the units, the chart, the compose file and the configurations of proxies to what the program
// does: every command, flag and variable that they name exists, and what refers to something finds it. What needs Helm,
// Podman or nginx is in deploy/verify and deploy/deploytest (make test-deploy).
package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commands are the program's commands with their flags, as the reference has them, which is made from the program.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	title := regexp.MustCompile(`^#{3,} treeline (.+)$`)
	flag := regexp.MustCompile("^\\| `(?:-\\w, )?(--[a-z0-9-]+)")
	name := ""
	for line := range strings.Lines(read(t, "../docs/reference/command-line.md")) {
		line = strings.TrimSpace(line)
		if m := title.FindStringSubmatch(line); m != nil {
			name = m[1]
			out[name] = nil
		} else if m := flag.FindStringSubmatch(line); m != nil {
			out[name] = append(out[name], m[1])
		}
	}
	if !slices.Contains(out["serve"], "--listen") || !slices.Contains(out["worker run"], "--task-queue") {
		t.Fatalf("the reference of the command line was not understood: %v", out)
	}
	return out
}

// checkLine holds a command line, without the program itself, to what there is.
func checkLine(t *testing.T, where string, known map[string][]string, argv []string) {
	t.Helper()
	var words []string
	for len(argv) > 0 && !strings.HasPrefix(argv[0], "-") && len(words) < 3 {
		if _, ok := known[strings.Join(append(slices.Clone(words), argv[0]), " ")]; !ok {
			break
		}
		words, argv = append(words, argv[0]), argv[1:]
	}
	command := strings.Join(words, " ")
	if command == "" {
		t.Errorf("%s: %v is no command of treeline", where, argv)
		return
	}
	for _, arg := range argv {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "--") && !slices.Contains(known[command], name) {
			t.Errorf("%s: treeline %s has no %s", where, command, name)
		}
	}
}

func TestUnitsStartCommandsThatThereAre(t *testing.T) {
	known := commands(t)
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) < 2 {
		t.Fatalf("%v, %v", units, err)
	}
	for _, unit := range units {
		started := false
		section := ""
		for line := range strings.Lines(read(t, unit)) {
			line = strings.TrimSpace(line)
			key, value, assigned := strings.Cut(line, "=")
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
				section = line
			case !assigned || section == "":
				t.Errorf("%s: %q is no assignment of a section", unit, line)
			case key == "ExecStart":
				started = true
				argv := strings.Fields(value)
				if argv[0] != "/usr/bin/treeline" {
					t.Errorf("%s starts %s", unit, argv[0])
				}
				checkLine(t, unit, known, argv[1:])
			}
		}
		if !started {
			t.Errorf("%s starts nothing", unit)
		}
	}
}

var variable = regexp.MustCompile(`\b(?:TREELINE|TASKCLUSTER|DATABASE|S3)_[A-Z0-9_]+\b`)

// others are variables that the files give each other, not to the program.
var others = []string{"TREELINE_IMAGE", "TREELINE_HOST", "TREELINE_SITE", "TREELINE_UPSTREAMS"}

func TestEveryVariableIsReadByTheProgram(t *testing.T) {
	source := map[string]bool{}
	out, err := exec.Command("git", "grep", "-ohE", `\b(TREELINE|TASKCLUSTER|DATABASE)_[A-Z0-9_]+\b`, "--", ":/*.go", ":!*_test.go", ":!/tools").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		source[name] = true
	}
	objects := read(t, "compose/objects.yml")
	named := 0
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "verify") || strings.HasPrefix(name, "secrets") {
			return err
		}
		for _, v := range variable.FindAllString(read(t, name), -1) {
			named++
			base := strings.TrimSuffix(v, "_FILE")
			if slices.Contains(others, v) || source[v] || source[base] || strings.Contains(objects, "$"+base) {
				continue
			}
			t.Errorf("%s: the program does not read %s", name, v)
		}
		return nil
	})
	if err != nil || named < 20 {
		t.Errorf("%d variables, %v", named, err)
	}
}

func TestTheImageRunsCommandsThatThereAre(t *testing.T) {
	known := commands(t)
	for _, file := range []string{"image/Containerfile", "image/worker.Containerfile"} {
		n := 0
		for _, m := range regexp.MustCompile(`(?m)^(?:HEALTHCHECK .*)?CMD (\[.*\])$`).FindAllStringSubmatch(read(t, file), -1) {
			var argv []string
			if err := json.Unmarshal([]byte(m[1]), &argv); err != nil {
				t.Fatal(err)
			}
			n++
			if argv[0] == "/usr/bin/treeline" {
				argv = argv[1:]
			}
			checkLine(t, file, known, argv)
		}
		if n == 0 {
			t.Errorf("%s runs nothing", file)
		}
	}
}

func parse(t *testing.T, name string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(read(t, name)), &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func TestTheChartsValuesAreOfTheirSchema(t *testing.T) {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(read(t, "helm/treeline/values.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("values.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("values.json")
	if err != nil {
		t.Fatal(err)
	}
	values := func() any {
		text, err := json.Marshal(parse(t, "helm/treeline/values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := compiled.Validate(values()); err != nil {
		t.Error(err)
	}
	for _, wrong := range []func(map[string]any){
		func(v map[string]any) { v["replica"] = 3 },
		func(v map[string]any) { v["rootURL"] = "https://ci.example.com/path" },
		func(v map[string]any) { v["image"].(map[string]any)["digest"] = "sha256:1" },
	} {
		v := values().(map[string]any)
		wrong(v)
		if compiled.Validate(v) == nil {
			t.Errorf("the schema takes %v", v)
		}
	}
}

func TestTemplatesUseValuesThatThereAre(t *testing.T) {
	values := parse(t, "helm/treeline/values.yaml")
	used := regexp.MustCompile(`\.Values\.([a-zA-Z.]+)`)
	files, err := filepath.Glob("helm/treeline/templates/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		for _, m := range used.FindAllStringSubmatch(read(t, file), -1) {
			var at any = values
			for part := range strings.SplitSeq(strings.TrimSuffix(m[1], "."), ".") {
				object, _ := at.(map[string]any)
				var ok bool
				if at, ok = object[part]; !ok {
					t.Errorf("%s: values.yaml has no %s", file, m[1])
					break
				}
			}
			top, _, _ := strings.Cut(m[1], ".")
			seen[top] = true
		}
	}
	for name := range values {
		if !seen[name] {
			t.Errorf("no template uses %s of values.yaml", name)
		}
	}
}

func TestTheChartsArgumentsAreFlags(t *testing.T) {
	known := commands(t)
	for file, command := range map[string]string{"deployment": "serve", "worker": "worker run", "migration": "db upgrade"} {
		text := read(t, "helm/treeline/templates/"+file+".yaml")
		n := 0
		for _, m := range regexp.MustCompile(`(?m)^\s+- (--[a-z-]+)`).FindAllStringSubmatch(text, -1) {
			n++
			checkLine(t, file, known, append(strings.Fields(command), m[1]))
		}
		if _, ok := known[command]; !ok || n == 0 && file != "migration" {
			t.Errorf("%s: %d arguments of %s", file, n, command)
		}
	}
	for _, path := range regexp.MustCompile(`path: (/__\w+__)`).FindAllStringSubmatch(read(t, "helm/treeline/templates/deployment.yaml"), -1) {
		if path[1] != "/__heartbeat__" && path[1] != "/__lbheartbeat__" {
			t.Errorf("a probe asks %s", path[1])
		}
	}
}

func TestTheComposeFileHoldsTogether(t *testing.T) {
	file := parse(t, "compose.yaml")
	known := commands(t)
	section := func(name string) map[string]any {
		s, ok := file[name].(map[string]any)
		if !ok {
			t.Fatalf("compose.yaml has no %s", name)
		}
		return s
	}
	services, secrets, configs, volumes := section("services"), section("secrets"), section("configs"), section("volumes")
	used := map[string]bool{}
	for name, v := range services {
		s := v.(map[string]any)
		check, ok := s["healthcheck"].(map[string]any)
		if !ok {
			t.Errorf("%s has no healthcheck", name)
			continue
		}
		argv := check["test"].([]any)
		if argv[1] == "/usr/bin/treeline" {
			checkLine(t, name, known, []string{argv[2].(string)})
		}
		if needs, ok := s["depends_on"].(map[string]any); ok {
			for other := range needs {
				if other != "<<" && services[other] == nil {
					t.Errorf("%s depends on %s, which is not there", name, other)
				}
			}
		}
		for _, kind := range []string{"secrets", "configs"} {
			list, _ := s[kind].([]any)
			for _, e := range list {
				source := fmt.Sprint(e)
				if m, ok := e.(map[string]any); ok {
					source = m["source"].(string)
				}
				used[source] = true
				if secrets[source] == nil && configs[source] == nil {
					t.Errorf("%s uses the %s %s, which is not there", name, kind, source)
				}
			}
		}
		list, _ := s["volumes"].([]any)
		for _, e := range list {
			source, _, _ := strings.Cut(e.(string), ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := volumes[source]; !ok {
				t.Errorf("%s uses the volume %s, which is not there", name, source)
			}
		}
	}
	script := read(t, "compose/secrets.sh")
	for name, v := range secrets {
		if !used[name] {
			t.Errorf("nobody uses the secret %s", name)
		}
		if file := filepath.Base(v.(map[string]any)["file"].(string)); !strings.Contains(script, "keep "+file+" ") {
			t.Errorf("compose/secrets.sh does not make %s", file)
		}
	}
}

func TestTheScriptMakesTheSecretsOnce(t *testing.T) {
	dir := t.TempDir()
	script, err := filepath.Abs("compose/secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	made := func() map[string]string {
		cmd := exec.Command("sh", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		files := map[string]string{}
		entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files[e.Name()] = read(t, filepath.Join(dir, "secrets", e.Name()))
		}
		return files
	}
	first := made()
	if password := first["postgres-password"]; len(password) != 48 || strings.TrimSpace(first["pgpass"]) != "postgres:5432:treeline:treeline:"+password {
		t.Errorf("%q", first["pgpass"])
	}
	if !strings.Contains(first["pulse-url"], ":"+first["rabbitmq-password"]+"@rabbitmq:5672/") {
		t.Errorf("%q", first["pulse-url"])
	}
	for name, text := range made() {
		if first[name] != text {
			t.Errorf("%s was made anew", name)
		}
	}
}

func TestTheDocumentationShowsTheProxiesFiles(t *testing.T) {
	page := read(t, "../docs/operations/reverse-proxy.md")
	for _, file := range []string{"nginx/treeline.conf", "caddy/Caddyfile"} {
		if !strings.Contains(page, "\n"+strings.TrimSpace(read(t, file))+"\n```") {
			t.Errorf("reverse-proxy.md shows another %s", file)
		}
	}
}
