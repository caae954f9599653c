//go:build deploy

package deploytest_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// releasedVariable tells the test, run again in a network of its own, where the checkout of the pages' release is.
const releasedVariable = "TREELINE_TEST_RELEASED"

// TestTheInstallPage types what docs/operations/install.md says, in its order, of a release of its own: the program and the
// units on a machine with systemd and PostgreSQL, the image with Podman, the chart with Helm. Compose has a test of its own.
func TestTheInstallPage(t *testing.T) {
	if !inItsOwnNetwork(t, func() []string {
		checkout := taggedClone(t)
		release(t, checkout)
		return []string{releasedVariable + "=" + checkout}
	}) {
		return
	}
	page, checkout := openBook(t, "docs/operations/install.md"), os.Getenv(releasedVariable)
	onAMachine(t, page, checkout)
	withPodman(t, page, checkout)
	withHelm(t, page, checkout)
}

// onAMachine installs the program, a server and a worker, which runs a task.
func onAMachine(t *testing.T, page *book, checkout string) {
	m := boot(t)
	home := filepath.Join(m.root, "root")
	if err := errors.Join(os.CopyFS(home, os.DirFS(filepath.Join(checkout, "dist"))), os.CopyFS(filepath.Join(home, "deploy"), os.DirFS(filepath.Join(checkout, "deploy")))); err != nil {
		t.Fatal(err)
	}
	if said := m.types("/root", script(page.next("sha256sum"))); !strings.Contains(said, "treeline-v1.2.3-linux-amd64.tar.gz: OK") || !strings.Contains(said, `"version": "v1.2.3"`) {
		t.Error(said)
	}
	m.types("/root", "diff -r treeline-v1.2.3-linux-amd64/systemd deploy/systemd") // what the page says of the archive
	m.types("/root", script(page.next("useradd")))
	m.types("/root", script(page.next("systemctl")))
	m.types("/root", script(page.next("install -m 0600")))
	m.types("/root", script(page.next("systemctl")))
	m.types("/root", "systemctl is-enabled treeline treeline-worker@garage")
	hello := func() {
		t.Helper()
		said := m.types("/root", `set -a; . /etc/treeline/worker-garage.env; set +a
id=$(treeline task create --queue "$TASK_QUEUE" -- sh -c 'echo "on $(hostname) as $(id -u)"')
treeline task log "$id"; treeline task wait "$id"`)
		if !strings.Contains(said, "on garage as 61") {
			t.Errorf("the task says %q", said)
		}
	}
	hello()
	m.types("/root", "systemctl reload treeline-worker@garage") // and it goes on, as the page says
	hello()
	m.types("/root", "systemctl restart treeline && treeline health")
	hello()
}

// withPodman runs the image of the release, and makes an image for workers of it.
func withPodman(t *testing.T, page *book, checkout string) {
	p := newPodman(t)
	s := newShell(t, filepath.Join(checkout, "dist"), "DATABASE_URL="+tcpDatabaseAt(t, "0.0.0.0", podmanGateway))
	podmanOf(p, s)
	block := page.next("podman load")
	server := s.command(script(block))
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	awaitFor(t, composePatience, "the container answers at the published port", func() error {
		select {
		case err := <-ended:
			t.Fatalf("%s:%d: %v\n%s", block.Page, block.Line, err, &said)
		default:
		}
		return answered("http://127.0.0.1:8080/__heartbeat__")
	})
	p.run("exec", "treeline", "treeline", "health") // as the page says below
	p.run("stop", "--time=60", "treeline")
	if err := <-ended; err != nil || !strings.Contains(said.String(), block.Stays) {
		t.Errorf("the server ended with %v\n%s", err, &said)
	}

	p.run("import", "--quiet", debian(t, machinePackages), "docker.io/library/debian:bookworm")
	inTree := newShell(t, checkout)
	podmanOf(p, inTree)
	inTree.types(page.next("podman build"))
	if version := p.run("run", "--rm", "--network=none", "treeline-worker", "version", "--json"); !strings.Contains(version, `"version": "v1.2.3"`) {
		t.Errorf("the worker's image has %s", version)
	}
}

// podmanGateway is this machine, as containers of Podman's own network see it.
const podmanGateway = "10.88.0.1"

// withHelm has kubectl and Helm make what they would send to a cluster: there is none here. So kubectl's command is a dry
// run, and Helm's upgrade --install is template, with the same arguments, for the oldest Kubernetes that the chart takes.
func withHelm(t *testing.T, page *book, checkout string) {
	s := newShell(t, filepath.Join(checkout, "dist"), "HOME="+t.TempDir())
	programs, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubectl", "helm"} {
		if _, err := exec.LookPath(filepath.Join(programs, name)); err != nil {
			t.Fatalf("%v (make test-deploy builds it)", err)
		}
	}
	s.program("kubectl", "'"+programs+`/kubectl' "$@" --dry-run=client --output=yaml; echo ---`)
	s.program("helm", `[ "$1 $2" = "upgrade --install" ] || exit 1; shift 2; exec '`+programs+`/helm' template "$@" --kube-version=1.27.0`)
	type document struct {
		Kind     string
		Metadata struct{ Name string }
		Data     map[string]string
		Spec     struct {
			TLS []struct {
				SecretName string `yaml:"secretName"`
			}
			Rules    []struct{ Host string }
			Template struct {
				Spec struct {
					Containers []struct {
						Image string
						Env   []struct {
							Name      string
							ValueFrom struct {
								SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
							} `yaml:"valueFrom"`
						}
					}
				}
			}
		}
	}
	var facts []string
	said := s.types(page.next("kubectl create"))
	for decoder := yaml.NewDecoder(strings.NewReader(said)); ; {
		var d document
		if err := decoder.Decode(&d); err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("%v\n%s", err, said)
			}
			break
		}
		switch d.Kind {
		case "Secret":
			if url, err := base64.StdEncoding.DecodeString(d.Data["url"]); err == nil && strings.HasPrefix(string(url), "postgres://treeline:") {
				facts = append(facts, "secret "+d.Metadata.Name)
			}
		case "Deployment":
			c := d.Spec.Template.Spec.Containers[0]
			facts = append(facts, "image "+c.Image)
			for _, e := range c.Env {
				if e.Name == "DATABASE_URL" {
					facts = append(facts, fmt.Sprintf("%s from %s of %s", e.Name, e.ValueFrom.SecretKeyRef.Key, e.ValueFrom.SecretKeyRef.Name))
				}
			}
		case "Ingress":
			facts = append(facts, "host "+d.Spec.Rules[0].Host+" by "+d.Spec.TLS[0].SecretName)
		}
	}
	want := []string{"secret treeline-database", "image registry.example.com/treeline:v1.2.3", "DATABASE_URL from url of treeline-database", "host ci.example.com by ci-example-com"}
	for _, fact := range want {
		if !strings.Contains("\n"+strings.Join(facts, "\n")+"\n", "\n"+fact+"\n") {
			t.Errorf("no %q in %q\n%s", fact, facts, said)
		}
	}
}
