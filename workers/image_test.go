package workers_test

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// imageTar is an image as "docker save" makes it, with one more file that has the text; it also returns the image's size.
func imageTar(t *testing.T, file, marker string) (name string, size int64) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text := "FROM " + podmantest.Image + "\nRUN echo " + marker + " >/marker\nUSER worker\n"
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "Dockerfile", Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := container.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if _, err := e.Build(t.Context(), container.Build{Context: &b, Tag: "localhost/made:1"}, nil); err != nil {
		t.Fatal(err)
	}
	found, err := container.NewRunner(e, container.Options{Agent: "made"}).Images().Find(t.Context(), "localhost/made:1")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := e.Save(t.Context(), "localhost/made:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = saved.Close() }()
	name = filepath.Join(t.TempDir(), file)
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	zstd := exec.Command("zstd", "-q", "-c")
	zstd.Stdin, zstd.Stdout = saved, out
	if err := zstd.Run(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.RemoveImage(t.Context(), "localhost/made:1"); err != nil {
		t.Fatal(err)
	}
	return name, found.Size
}

// containers starts a worker with a real Podman.
func (s *server) containers(change func(*workers.Config)) *agent {
	s.t.Helper()
	podmantest.Start(s.t)
	e, err := container.Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return s.work(func(c *workers.Config) {
		c.Engine = container.NewRunner(e, container.Options{Agent: "tasks", Image: podmantest.Image, Log: c.Log})
		c.Capacity = 1
		c.Limits = engine.Limits{PIDs: 200, Memory: 256 << 20}
		if change != nil {
			change(c)
		}
	})
}

func inImage(image any, script string, more dict) dict {
	return with(dict{"image": image, "command": []string{"sh", "-c", script}, "maxRunTime": 60}, more)
}

func TestTasksInContainers(t *testing.T) {
	s := startServer(t, 20*time.Minute)
	s.containers(func(c *workers.Config) { c.Monitor = time.Millisecond })

	t.Run("a named image, its own directory and user, caches and artifacts at its own places", func(t *testing.T) {
		s := s.in(t)
		more := dict{
			"cache":     dict{"kept": "/builds/worker/cache"},
			"artifacts": dict{"public/out": dict{"type": "directory", "path": "/builds/worker/out"}, "public/one": dict{"type": "file", "path": "/tmp/one"}},
		}
		script := `pwd; cat cache/mark 2>/dev/null; echo "mark of $TASK_ID" >cache/mark; mkdir out; echo deep >out/file; echo one >/tmp/one; test -z "$TASK_WORKDIR" && echo bare`
		scopes := dict{"scopes": []string{"docker-worker:cache:kept"}}
		first := s.create(inImage(podmantest.Image, script, more), scopes)
		s.resolved(first, task.ReasonCompleted)
		for name, want := range map[string]string{"public/out/file": "deep\n", "public/one": "one\n"} {
			if text, got, err := s.artifact(first, name); err != nil || text != want || !got.Verified {
				t.Errorf("%s: %q %v", name, text, err)
			}
		}
		second := s.create(inImage(dict{"type": "docker-image", "name": podmantest.Image}, script, more), scopes)
		s.resolved(second, task.ReasonCompleted)
		if log := s.logOf(second); !strings.Contains(log, "\n/builds/worker\n") || !strings.Contains(log, "mark of "+first) || !strings.Contains(log, "\nbare\n") || !strings.Contains(log, "Used: commands took") {
			t.Error(log)
		}
		if text, _, err := s.artifact(second, workers.UsageArtifact); err != nil || !strings.Contains(text, `"engine": "Podman`) {
			t.Errorf("%s %v", text, err)
		}
	})
	t.Run("an image that a task made is loaded once, by its digest", func(t *testing.T) {
		s := s.in(t)
		name, _ := imageTar(t, "image.tar.zst", "of the task image")
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		maker := s.withArtifact("public/image.tar.zst", data)
		more := dict{"dependencies": []string{maker}}
		image := dict{"type": "task-image", "taskId": maker, "path": "public/image.tar.zst"}
		first := s.create(inImage(image, "cat /marker; id -u", nil), more)
		s.resolved(first, task.ReasonCompleted)
		if log := s.logOf(first); !strings.Contains(log, "\nof the task image\n1000\n") || !strings.Contains(log, "Loaded image: sha256 ") {
			t.Error(log)
		}
		second := s.create(inImage(image, "cat /marker", nil), more)
		s.resolved(second, task.ReasonCompleted)
		if log := s.logOf(second); !strings.Contains(log, "is here already: sha256 ") || strings.Contains(log, "Downloading") {
			t.Error(log)
		}
		stranger := s.create(inImage(image, "true", nil), nil)
		s.resolved(stranger, task.ReasonMalformedPayload)
		if log := s.logOf(stranger); !strings.Contains(log, "/image/taskId") || !strings.Contains(log, "must be in dependencies") {
			t.Error(log)
		}
	})
	t.Run("generic-worker's dialect, with the task's directory in the worker's image", func(t *testing.T) {
		s := s.in(t)
		id := s.create(dict{"command": [][]string{{"sh", "-c", "echo one >file; test $PWD = $TASK_WORKDIR"}, {"sh", "-c", "cat file in/raw; ls /bin/busybox"}}, "maxRunTime": 60,
			"mounts": []dict{{"file": "in/raw", "content": dict{"raw": "raw\n"}}}, "artifacts": []dict{{"type": "file", "path": "file", "name": "public/file"}}}, nil)
		s.resolved(id, task.ReasonCompleted)
		if log := s.logOf(id); !strings.Contains(log, "\none\nraw\n/bin/busybox\n") {
			t.Error(log)
		}
	})
	t.Run("the task proxy is reached from the container", func(t *testing.T) {
		s := s.in(t)
		id := s.create(inImage(podmantest.Image, `wget -q -O - $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status`, dict{"features": dict{"taskclusterProxy": true}}), nil)
		s.resolved(id, task.ReasonCompleted)
		if log := s.logOf(id); !strings.Contains(log, `"state": "running"`) && !strings.Contains(log, `"state":"running"`) {
			t.Error(log)
		}
	})
	for _, c := range []struct {
		name    string
		payload dict
		more    dict
		want    task.ReasonResolved
		log     string
	}{
		{"privileged takes a scope", inImage(podmantest.Image, "true", dict{"capabilities": dict{"privileged": true}}), nil,
			task.ReasonMalformedPayload, "/capabilities/privileged: takes the scope docker-worker:capability:privileged"},
		{"privileged takes a worker that allows it, too", inImage(podmantest.Image, "true", dict{"capabilities": dict{"privileged": true}}),
			dict{"scopes": []string{"docker-worker:capability:privileged"}}, task.ReasonMalformedPayload, "--allow-privileged"},
		{"ptrace is given with its scope", inImage(podmantest.Image, "true", dict{"features": dict{"allowPtrace": true}}),
			dict{"scopes": []string{"docker-worker:feature:allowPtrace:" + testQueue}}, task.ReasonCompleted, "Result: completed"},
		{"an unknown feature is named, with what may be meant", inImage(podmantest.Image, "true", dict{"features": dict{"taskclusterproxy": true}}), nil,
			task.ReasonMalformedPayload, "/features: additional properties 'taskclusterproxy' not allowed (did you mean taskclusterProxy?)"},
		{"an image that is nowhere", inImage("localhost/none:such", "true", nil), nil, "", "localhost/none:such"},
		{"a command that is not there", dict{"image": podmantest.Image, "command": []string{"no-such"}, "maxRunTime": 60}, nil, task.ReasonFailed, "cannot start no-such"},
		{"maxRunTime ends the container", inImage(podmantest.Image, "sleep 300", dict{"maxRunTime": 1}), nil, task.ReasonFailed, "longer than maxRunTime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			id := s.create(c.payload, c.more)
			if c.want == "" { // whether a registry answered is not ours to say
				st := s.awaitState(id, task.Exception)
				if r := st.Runs[0].ReasonResolved; r != task.ReasonMalformedPayload && r != task.ReasonResourceUnavailable {
					t.Errorf("resolved as %s", r)
				}
			} else {
				s.resolved(id, c.want)
			}
			if log := s.logOf(id); !strings.Contains(log, c.log) {
				t.Errorf("the log lacks %q:\n%s", c.log, log)
			}
		})
	}
}

// Images that the index knows follow what is indexed; those that do not fit the budget go, the longest unused first.
func TestImagesOfTheIndexAndTheirBudget(t *testing.T) {
	s := startServer(t, 20*time.Minute)
	podmantest.Start(t)
	var makers []string
	var size int64
	for _, marker := range []string{"first", "second"} {
		var name string
		name, size = imageTar(t, "image.tar.zst", marker)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		makers = append(makers, s.withArtifact("public/image.tar.zst", data))
	}
	e, err := container.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.work(func(c *workers.Config) {
		c.Engine, c.Capacity, c.ImageBudget = container.NewRunner(e, container.Options{Agent: "budget", Image: podmantest.Image, Log: c.Log}), 1, size*3/2
	})
	image := dict{"type": "indexed-image", "namespace": "docker.images.v1.test", "path": "public/image.tar.zst"}
	use := func(maker, marker string, loaded bool) {
		t.Helper()
		in := dict{"taskId": maker, "rank": 0, "data": dict{}, "expires": task.At(time.Now().Add(time.Hour))}
		if err := s.root.Call(t.Context(), "index", "PUT", "/task/docker.images.v1.test", nil, in, nil); err != nil {
			t.Fatal(err)
		}
		id := s.create(inImage(image, "cat /marker", nil), nil)
		s.resolved(id, task.ReasonCompleted)
		if log := s.logOf(id); !strings.Contains(log, "\n"+marker+"\n") || strings.Contains(log, "Loaded image: sha256") != loaded {
			t.Errorf("%s, to be loaded: %v:\n%s", marker, loaded, log)
		}
	}
	use(makers[0], "first", true)
	use(makers[0], "first", false) // it is kept
	use(makers[1], "second", true)
	use(makers[1], "second", false)
	use(makers[0], "first", true) // it had to go for the second
	unknown := s.create(inImage(dict{"type": "indexed-image", "namespace": "nobody.made.this", "path": "public/image.tar.zst"}, "true", nil), nil)
	s.resolved(unknown, task.ReasonMalformedPayload)
	if log := s.logOf(unknown); !strings.Contains(log, "/image/namespace: nobody.made.this") {
		t.Error(log)
	}
}

// withArtifact makes a completed task that left an artifact, without a worker.
func (s *server) withArtifact(name string, data []byte) string {
	s.t.Helper()
	const other = "test/elsewhere"
	id := s.create(sh("true"), dict{"taskQueueId": other})
	claims, err := s.root.ClaimWork(s.t.Context(), other, claimOne)
	if err != nil || len(claims) != 1 {
		s.t.Fatal(len(claims), err)
	}
	c := s.root.WithCredentials(claims[0].Credentials.Hawk())
	s.upload(c, id, name, data)
	if _, err := c.ReportCompleted(s.t.Context(), id, 0); err != nil {
		s.t.Fatal(err)
	}
	return id
}
