package docs_test

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const tellPage = "how-to/be-told-when-a-task-fails.md"

func TestTheNotifyExampleGivesTasksRoutes(t *testing.T) {
	tree := fstest.MapFS{"taskcluster/kinds/nightly/kind.yml": {Data: []byte(example(t, tellPage, "yaml"))}}
	for _, name := range []string{"taskcluster/config.yml", "taskcluster/pebble.star"} {
		tree[name] = &fstest.MapFile{Data: []byte(read(t, path.Join(sampleProject, name)))}
	}
	p, err := params.ForDecision(params.Decision{
		BaseRepository: "http://127.0.0.1/git/mine", HeadRepository: "http://127.0.0.1/git/mine", HeadRef: "refs/heads/main", HeadRev: "5",
		Project: "mine", Owner: "me@example.com", Level: "3", PushlogID: "1", RepositoryType: "git", TasksFor: "git-push", Pushdate: 1780000000,
	})
	if err != nil {
		t.Fatal(err)
	}
	result, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: p, IDSeed: "docs", Now: time.Unix(1780000000, 0)}, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Routes []string
		Extra  struct{ Notify map[string]any }
	}
	text, err := json.Marshal(result.Full.Task("nightly-nightly").Definition)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"notify.email.team@example.com.on-failed", "notify.slack-channel.C123456GZ.on-resolved"} {
		if !slices.Contains(definition.Routes, want) {
			t.Errorf("%q lacks %s", definition.Routes, want)
		}
	}
	if mail, _ := definition.Extra.Notify["email"].(map[string]any); mail["subject"] != "The nightly is broken" {
		t.Errorf("%v", definition.Extra.Notify)
	}
}

func TestTheTemplatesOfTheNotifyExampleAreRendered(t *testing.T) {
	var value any
	if err := yaml.Unmarshal([]byte(example(t, tellPage, "yml")), &value); err != nil {
		t.Fatal(err)
	}
	extra, err := json.Marshal(value.(map[string]any)["extra"])
	if err != nil {
		t.Fatal(err)
	}
	story := news.Story{
		Event: "failed", TaskID: "fN1SbArXTPSVFNUvaOlinQ", RootURL: "https://ci", Raw: []byte(`{"state": "failed", "runs": [{}]}`), Status: task.Status{State: task.Failed},
		Task: task.Definition{Extra: extra, Metadata: task.Metadata{Name: "nightly", Owner: "me@example.com"}},
	}
	for channel, want := range map[string]string{
		message.ChannelEmail: "**failed** after 1 runs", message.ChannelSlack: "\\u003chttps://ci/tasks/fN1SbArXTPSVFNUvaOlinQ|The nightly\\u003e is failed.", message.ChannelMatrix: "The nightly is failed: https://ci/",
	} {
		address := map[string]string{message.ChannelEmail: "a@example.com", message.ChannelSlack: "C1", message.ChannelMatrix: "!r:x"}[channel]
		m, err := story.Make(channel, address)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) || strings.Contains(string(text), "could not be used") {
			t.Errorf("%s: %s", channel, text)
		}
	}
}
