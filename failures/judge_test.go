package failures

import (
	"strings"
	"testing"
)

func TestSignaturesAreTheSameForTheSameFailure(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"numbers and durations", "timed out after 300.12 seconds on line 12", "timed out after 299 seconds on line 14", true},
		{"times", "2026-01-02T03:04:05.678Z connection refused", "2026-02-03T13:14:15Z connection refused", true},
		{"directories", "/tmp/task_123/build/a.c: no such file", "/tmp/task_998/other/a.c: no such file", true},
		{"addresses", "crash at 0xdeadbeef", "crash at 0x1234", true},
		{"ids", "task Ck6H5RzFTomOeX9C8lZOHA is gone", "task fN1SbArXTPSVFNUvaOlinQ is gone", true},
		{"other words", "expected true, got false", "expected false, got true", false},
		{"other files", "src/a.c: undefined reference", "src/b.c: undefined reference", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Signature("test", c.a) == Signature("test", c.b); got != c.same {
				t.Errorf("the same is %v, want %v: %q, %q", got, c.same, Class(c.a), Class(c.b))
			}
			if Signature("one", c.a) == Signature("two", c.a) {
				t.Error("two tests have one signature")
			}
		})
	}
}

func TestJudge(t *testing.T) {
	const here, parent, older = 100, 90, 80
	at := func(push int64) Mark {
		return Mark{Push: push, Revision: strings.Repeat("0", 9) + string(rune('a'+push%10))}
	}
	known := Base{Push: parent, Revision: "1111111111ff", Known: true}
	group := func(past ...seen) *Group {
		return &Group{Signature: "s", Tasks: []Failed{{TaskID: "T"}}, labels: []int64{1}, past: past}
	}
	for _, c := range []struct {
		name   string
		group  *Group
		facts  facts
		kind   Kind
		reason string
	}{
		{"new: it passed on the parent", group(), facts{base: known, parent: map[int64]tally{1: {passed: 1}}}, Fresh, "It passed on the parent 1111111111."},
		{"new: the parent did not run it", group(), facts{base: known}, Fresh, "It has not failed so in the last 14 days; the parent 1111111111 did not run it."},
		{"new: there is no parent", group(), facts{}, Fresh, "No push before it is known to compare with."},
		{"unsure: the parent has not finished", group(), facts{base: Base{Push: parent, Revision: "11", Known: true, Unfinished: 3}}, Unsure, "The parent 11 has not finished: 3 tasks have yet to end."},
		{"unsure: not, although it has passed there, before the parent has finished", group(),
			facts{base: Base{Push: parent, Revision: "11", Known: true, Unfinished: 1}, parent: map[int64]tally{1: {passed: 1}}}, Unsure, "The parent 11 has not finished: 1 task has yet to end."},
		{"unsure: the parent's tasks are not decided", group(), facts{base: Base{Revision: "11", Known: true, Unfinished: -1}}, Unsure, "The tasks of the parent 11 are not decided yet."},
		{"known: it fails on the parent", group(seen{push: parent, at: at(9), label: 1, runs: 1}), facts{base: known}, Known, "It fails on the parent 1111111111 too."},
		{"known: on the last push before that ran it", group(seen{push: older, at: at(8), label: 1, runs: 1}), facts{
			base: known, recent: []recent{{here, at(10)}, {parent, at(9)}, {older, at(8)}}, outcomes: map[int64]map[int64]tally{older: {1: {failed: 1}}},
		}, Known, "It fails on 000000000i already, the last push before that ran it."},
		{"new: it failed before, and passed since", group(seen{push: older, at: at(8), label: 1, runs: 1}), facts{
			base: known, parent: map[int64]tally{1: {passed: 1}}, recent: []recent{{here, at(10)}, {parent, at(9)}, {older, at(8)}},
			outcomes: map[int64]map[int64]tally{older: {1: {failed: 1}}, parent: {1: {passed: 1}}},
		}, Fresh, "It passed on the parent 1111111111."},
		{"flaky: it passed on this revision, too", group(), facts{base: known, here: map[int64]tally{1: {passed: 1, failed: 1}}, window: map[int64]tally{1: {passed: 9, failed: 1}}},
			Flaky, "It passed and failed on this revision; 1 of 10 runs in 14 days failed so."},
		{"flaky: on another revision, of which there are few", group(seen{push: older, at: at(8), label: 1, runs: 1, mixed: true}),
			facts{base: known, window: map[int64]tally{1: {passed: 2, failed: 2}}}, Flaky, "It passed and failed on 000000000i; 2 of 4 runs in 14 days failed so (few samples)."},
		{"known: somebody said so", group(), facts{base: known, said: map[string]Said{"T": {Class: "intermittent", Settled: true, Bug: "123", By: "ada"}}},
			Known, "ada classified it as intermittent (123)."},
		{"known: somebody said so of another push", group(seen{push: older, at: at(8), taskID: "O", label: 1}), facts{base: known, said: map[string]Said{"O": {Class: "fixed by commit", Settled: true, By: "ada"}}},
			Known, "ada classified it on 000000000i as fixed by commit."},
		{"infra: somebody said so", group(), facts{base: known, said: map[string]Said{"T": {Class: "infra", Infra: true, Settled: true, By: "ada"}}}, Infra, "ada classified it as infra."},
		{"infra: a worker was lost", &Group{lost: true, labels: []int64{1}, Tasks: []Failed{{TaskID: "T"}}}, facts{base: known}, Infra, "The machines' fault: it says nothing about the push."},
		{"infra: a worker was lost, and it passed then", &Group{lost: true, labels: []int64{1}}, facts{base: known, here: map[int64]tally{1: {passed: 1}}}, Infra, "The machines' fault; what was tried again has passed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			judge([]*Group{c.group}, &c.facts)
			if c.group.Kind != c.kind || c.group.Reason != c.reason {
				t.Errorf("got %s: %q, want %s: %q", c.group.Kind, c.group.Reason, c.kind, c.reason)
			}
		})
	}
}
