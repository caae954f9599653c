//go:build deploy

package deploytest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/internal/slug"
)

// show prints what comes of the chart or the compose file.
func show(t *testing.T, kind, file string, into any) {
	t.Helper()
	cmd := exec.Command("go", "run", "./show", kind, file)
	cmd.Dir = "../verify"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("show %s: %v: %s", kind, err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

// box is a container as a file describes it, but for the addresses of what it talks to.
type box struct {
	p      podman
	image  string
	args   []string
	env    map[string]string
	mounts []string
	limits []string // what it may not do
}

// start runs it in the background, and returns its name.
func (b box) start() string {
	name := "treeline-" + strings.ToLower(slug.New())
	b.p.run(b.line(name, "--detach")...)
	b.p.t.Cleanup(func() {
		if b.p.t.Failed() {
			b.p.t.Log(b.p.said(name))
		}
	})
	return name
}

func (b box) line(name string, more ...string) []string {
	line := append([]string{"run", "--name", name, "--network=host", "--tmpfs=/tmp"}, more...)
	line = append(line, b.limits...)
	for _, name := range slices.Sorted(maps.Keys(b.env)) {
		line = append(line, "--env", name+"="+b.env[name])
	}
	for _, m := range b.mounts {
		line = append(line, "--volume", m)
	}
	return append(append(line, b.image), b.args...)
}

// data is a directory that the image's user owns.
func data(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 65532, 65532)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func answers(t *testing.T, address string) {
	t.Helper()
	await(t, address+" answers", func() error { return answered(address) })
}

func answered(address string) error {
	answer, err := http.Get(address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// composeService is what is looked at of a service of the compose file.
type composeService struct {
	Environment  map[string]string
	ReadOnly     bool     `json:"read_only"`
	CapDrop      []string `json:"cap_drop"`
	SecurityOpt  []string `json:"security_opt"`
	StopGrace    string   `json:"stop_grace_period"`
	Secrets      []struct{ Source, Target string }
	Configs      []struct{ Source, Target string }
	HealthCheck  struct{ Test []string }
	VolumeMounts []struct{ Target string } `json:"volumes"`
}

// What the compose file says of its servers, with its secrets and configs, runs on a real PostgreSQL, S3 service and
// RabbitMQ; only their addresses, and the ports of the server, are this machine's.
func composed(p podman, image string) {
	t := p.t
	dir := filepath.Join(t.TempDir(), "deploy")
	if err := os.CopyFS(dir, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	script := exec.Command("sh", "compose/secrets.sh")
	script.Dir = dir
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var file struct {
		Services         map[string]composeService
		Secrets, Configs map[string]struct{ File string }
	}
	show(t, "compose", filepath.Join(dir, "compose.yaml"), &file)
	bucket, node := s3test.Start(t), rabbittest.Start(t)
	for name, content := range map[string]string{"pulse-url": node.URL(), "s3-access-key": s3test.AccessKey, "s3-secret-key": s3test.SecretKey} {
		at := file.Secrets[name].File
		if err := errors.Join(os.Chmod(at, 0o644), os.WriteFile(at, []byte(content), 0o444)); err != nil {
			t.Fatal(err)
		}
	}
	name := bucket.Bucket(t)
	objects := file.Configs["objects"].File
	if err := os.WriteFile(objects, []byte(strings.NewReplacer("http://s3:7070", bucket.Endpoint, "bucket: treeline", "bucket: "+name).Replace(text(t, objects))), 0o644); err != nil {
		t.Fatal(err)
	}
	kept, database := data(t), tcpDatabase(t)
	before, _, _ := strings.Cut(strings.TrimPrefix(database, "postgres://"), "?")
	var names []string
	for _, service := range []string{"treeline-1", "treeline-2"} {
		s := file.Services[service]
		port, scrape := freePort(t), freePort(t)
		b := box{p: p, image: image, args: []string{"serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port)}, env: s.Environment}
		for name, value := range b.env {
			b.env[name] = strings.NewReplacer("treeline@postgres:5432/treeline", before, "0.0.0.0:9100", fmt.Sprintf("127.0.0.1:%d", scrape), service+":8080", fmt.Sprintf("127.0.0.1:%d", port)).Replace(value)
		}
		address := fmt.Sprintf("http://127.0.0.1:%d/__heartbeat__", port)
		b.env["TREELINE_HEALTH_URL"] = address
		if s.ReadOnly {
			b.limits = append(b.limits, "--read-only")
		}
		for _, c := range s.CapDrop {
			b.limits = append(b.limits, "--cap-drop="+c)
		}
		for _, o := range s.SecurityOpt {
			b.limits = append(b.limits, "--security-opt="+strings.ReplaceAll(o, ":true", ""))
		}
		for _, m := range s.Secrets {
			b.mounts = append(b.mounts, file.Secrets[m.Source].File+":"+m.Target+":ro")
		}
		for _, m := range s.Configs {
			b.mounts = append(b.mounts, file.Configs[m.Source].File+":"+m.Target+":ro")
		}
		for _, m := range s.VolumeMounts {
			b.mounts = append(b.mounts, kept+":"+m.Target)
		}
		name := b.start()
		names = append(names, name)
		answers(t, address)
		p.run(append([]string{"exec", name}, s.HealthCheck.Test[1:]...)...)
	}
	// The doctor is in the image; the test's database has settings for speed, and the root URL is somebody else's.
	said, err := p.try("exec", names[1], "/usr/bin/treeline", "doctor", "--only", "configuration", "--only", "environment", "--only", "files with secrets", "--only", "settings of the server",
		"--only", "object stores", "--only", "RabbitMQ", "--only", "schema", "--only", "feed", "--only", "encryption keys", "--only", "passwords")
	if err != nil || !strings.Contains(said, "10 checks: 0 errors, 0 warnings") {
		t.Errorf("the doctor in the container: %v\n%s", err, said)
	}
	for _, name := range names {
		p.run("stop", "--time=60", name)
		if code := p.run("inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
			t.Errorf("%s ended with %s when it was stopped", name, code)
		}
	}
}

// manifest is what is looked at of a document of the chart.
type manifest struct {
	Kind       string
	StringData map[string]string
	Data       map[string]string
	Spec       struct {
		Template struct{ Spec pod }
	}
}

type pod struct {
	SecurityContext struct{ RunAsUser, RunAsGroup int }
	Containers      []struct {
		Args []string
		Env  []struct {
			Name, Value string
			ValueFrom   struct{ SecretKeyRef, ConfigMapKeyRef struct{ Name, Key string } }
		}
		SecurityContext struct {
			ReadOnlyRootFilesystem, AllowPrivilegeEscalation bool
			Capabilities                                     struct{ Drop []string }
		}
		ReadinessProbe, LivenessProbe struct{ HTTPGet struct{ Path string } }
		VolumeMounts                  []struct{ Name, MountPath string }
	}
}

// What the chart's pods say runs: first the job that upgrades the schema, then the server, with their variables,
// rights and probes; only addresses are this machine's.
func charted(p podman, image string) {
	t := p.t
	port, scrape := freePort(t), freePort(t)
	values := filepath.Join(t.TempDir(), "values.yaml")
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := os.WriteFile(values, []byte(fmt.Sprintf("rootURL: %s\ndatabase: {url: %q}\ntrustedProxies: [10.0.0.0/8]\nconfig: {objectStores: {uploads: disk}}\nmetrics: {enabled: true, existingSecret: scraper}\n", address, tcpDatabase(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	var documents []manifest
	show(t, "chart", values, &documents)
	known, files := map[string]string{"token": "a-token-of-thirty-two-characters"}, map[string]string{}
	for _, d := range documents {
		maps.Copy(known, d.StringData)
		if d.Kind == "ConfigMap" {
			maps.Copy(known, d.Data)
			maps.Copy(files, d.Data)
		}
	}
	config := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(config, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(config, 0o755), os.Chmod(filepath.Dir(config), 0o755)); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{"data": data(t), "config": config}
	made := func(kind string) (box, pod) {
		i := slices.IndexFunc(documents, func(d manifest) bool { return d.Kind == kind })
		if i < 0 {
			t.Fatalf("the chart has no %s", kind)
		}
		spec := documents[i].Spec.Template.Spec
		c := spec.Containers[0]
		b := box{p: p, image: image, env: map[string]string{}}
		local := strings.NewReplacer("0.0.0.0:8080", fmt.Sprintf("127.0.0.1:%d", port), "0.0.0.0:9100", fmt.Sprintf("127.0.0.1:%d", scrape), "$(POD_IP):8080", fmt.Sprintf("127.0.0.1:%d", port))
		for _, a := range c.Args {
			b.args = append(b.args, local.Replace(a))
		}
		for _, e := range c.Env {
			for _, from := range []string{e.ValueFrom.SecretKeyRef.Key, e.ValueFrom.ConfigMapKeyRef.Key} {
				if from == "" {
					continue
				}
				if known[from] == "" {
					t.Fatalf("%s of %s comes from %s, which no document has", e.Name, kind, from)
				}
				e.Value = known[from]
			}
			if e.Name != "POD_IP" {
				b.env[e.Name] = local.Replace(e.Value)
			}
		}
		if c.SecurityContext.ReadOnlyRootFilesystem {
			b.limits = append(b.limits, "--read-only")
		}
		if !c.SecurityContext.AllowPrivilegeEscalation {
			b.limits = append(b.limits, "--security-opt=no-new-privileges")
		}
		for _, d := range c.SecurityContext.Capabilities.Drop {
			b.limits = append(b.limits, "--cap-drop="+d)
		}
		b.limits = append(b.limits, fmt.Sprintf("--user=%d:%d", spec.SecurityContext.RunAsUser, spec.SecurityContext.RunAsGroup))
		for _, m := range c.VolumeMounts {
			if at := places[m.Name]; at != "" {
				b.mounts = append(b.mounts, at+":"+m.MountPath)
			}
		}
		return b, spec
	}
	upgrade, _ := made("Job")
	t.Logf("the job says: %s", p.run(upgrade.line("upgrade-"+strings.ToLower(slug.New()), "--rm")...))
	server, spec := made("Deployment")
	name := server.start()
	answers(t, address+spec.Containers[0].LivenessProbe.HTTPGet.Path)
	answers(t, address+spec.Containers[0].ReadinessProbe.HTTPGet.Path)
	p.run("stop", "--time=60", name)
	if code := p.run("inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
		t.Errorf("the server ended with %s when it was stopped", code)
	}
}
