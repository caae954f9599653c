package workers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/fetchcontent"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// TestMain lets the test's own program be the treeline that tasks find on their PATH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "treeline" && len(os.Args) > 1 {
		switch os.Args[1] {
		case "run-task":
			os.Exit(runtask.Run(context.Background(), os.Args[2:], os.Environ(), os.Stdout))
		case "fetch-content":
			os.Exit(fetchcontent.Run(context.Background(), os.Args[2:], os.Environ(), os.Stdout))
		}
	}
	os.Exit(m.Run())
}

// The payloads are as the generator makes them for docker-worker: a file of the web is fetched once, a tool is
// made of it, and a build uses the tool.
func TestPayloadsForContainersOnTheMachineItself(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello\n"))
	}))
	defer web.Close()
	s := startServer(t, 20*time.Minute)
	s.work(func(c *workers.Config) { c.Program, c.AcceptImages = os.Args[0], true })
	in := func(command []string, env dict, artifact string, more dict) dict {
		return with(dict{"image": "debian:12", "maxRunTime": 60, "command": command, "env": env, "onExitStatus": dict{"purgeCaches": []int{72}}, "artifacts": dict{
			artifact: dict{"type": "directory", "path": "/builds/worker/artifacts", "expires": task.At(time.Now().Add(2 * time.Hour))}}}, more)
	}
	fetch := s.create(in([]string{"/usr/local/bin/run-task", "--", "fetch-content", "static-url",
		"--sha256", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "--size", "6", web.URL + "/hello.txt", "/builds/worker/artifacts/hello.txt"},
		dict{"UPLOAD_DIR": "/builds/worker/artifacts"}, "public", nil), nil)
	s.resolved(fetch, task.ReasonCompleted)

	fetches := func(list string) dict {
		return dict{"MOZ_FETCHES": list, "MOZ_FETCHES_DIR": "fetches", "UPLOAD_DIR": "/builds/worker/artifacts"}
	}
	toolchain := s.create(in([]string{"/usr/local/bin/run-task", "--", "bash", "-cx", `mkdir -p tool $UPLOAD_DIR && (echo '#!/bin/sh'; echo "echo made of $(cat $MOZ_FETCHES_DIR/hello.txt)") >tool/run && chmod 755 tool/run && tar c tool | zstd -q >$UPLOAD_DIR/tool.tar.zst`},
		fetches(fmt.Sprintf(`[{"artifact":"public/hello.txt","extract":false,"task":%q,"verify-hash":true}]`, fetch)), "public/build", nil), dict{"dependencies": []string{fetch}})
	s.resolved(toolchain, task.ReasonCompleted)

	scopes := dict{"dependencies": []string{toolchain}, "scopes": []string{"docker-worker:cache:kept"}}
	cached := dict{"cache": dict{"kept": "/builds/worker/.cache"}}
	build := func(artifact string) string {
		env := with(fetches(fmt.Sprintf(`[{"artifact":%q,"extract":true,"task":%q,"dest":"bin"}]`, artifact, toolchain)), dict{"TASKCLUSTER_CACHES": "/builds/worker/.cache"})
		return s.create(in([]string{"/usr/local/bin/run-task", "--", "bash", "-c", "mkdir -p $UPLOAD_DIR; $MOZ_FETCHES_DIR/bin/tool/run; ls /builds/worker/.cache; touch /builds/worker/.cache/mark"}, env, "public/build", cached), scopes)
	}
	first := build("public/build/tool.tar.zst")
	s.resolved(first, task.ReasonCompleted)
	if log := s.logOf(first); !strings.Contains(log, "] made of hello\n") || strings.Contains(log, "] mark\n") {
		t.Error(log)
	}
	second := build("public/build/tool.tar.zst")
	s.resolved(second, task.ReasonCompleted)
	if log := s.logOf(second); !strings.Contains(log, "] mark\n") {
		t.Errorf("the cache was not kept:\n%s", log)
	}
	none := build("public/build/none.tar.zst")
	s.resolved(none, task.ReasonFailed)
	if log := s.logOf(none); !strings.Contains(log, "public/build/none.tar.zst of task "+toolchain) {
		t.Error(log)
	}
}

func TestAWorkerWithoutWorkEndsInTime(t *testing.T) {
	t.Parallel()
	s := startServer(t, 20*time.Minute)
	began := time.Now()
	a := s.work(func(c *workers.Config) { c.MaxIdle = time.Second })
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second { // a poll takes 20
		t.Errorf("it took %v", took)
	}
}
