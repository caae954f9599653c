import assert from "node:assert/strict";
import test from "node:test";
import type { Cell, State } from "../shell/data.ts";
import { arrange, DEFAULT, formatStatuses, formatTiers, matches, parseFilter, type Status } from "./filter.ts";
import { statsOf, verdict } from "./stats.ts";

function cell(over: Partial<Cell>): Cell {
  return {
    id: "id", name: "test-linux-1", symbol: "1", group: "M", groupName: "Mochitests", platform: "linux64 opt", tier: 1, queue: "p/w", state: "passed",
    reason: "completed", run: 0, runs: 1, scheduled: 0, started: 0, ended: 0, ...over,
  };
}

const cells: Cell[] = [
  cell({ id: "a", name: "build-linux", symbol: "B", group: "?", groupName: "" }),
  cell({ id: "b", state: "failed" }),
  cell({ id: "c", symbol: "10", state: "running" }),
  cell({ id: "d", symbol: "2", state: "unscheduled" }),
  cell({ id: "e", platform: "linux64 debug", tier: 2, state: "exception" }),
  cell({ id: "f", platform: "linux32 opt", tier: 3, state: "cancelled", group: "Wr", groupName: "Reftests" }),
  cell({ id: "g", platform: "mac", name: "late", state: "exception", reason: "superseded", symbol: "s" }),
  cell({ id: "h", platform: "mac", name: "known", state: "failed", symbol: "k", group: "K", groupName: "Kinds", said: { id: 1, task: "h", class: 4, bug: "7", note: "", by: "x", time: 1 } }),
  cell({ id: "i", platform: "mac", name: "twice", runs: 2, symbol: "t", group: "K", groupName: "Kinds" }),
];

const shown = (search: string): string => {
  const f = parseFilter(new URLSearchParams(search));
  return cells.filter((c) => matches(c, f)).map((c) => c.id).join("");
};

for (const [search, want] of [
  ["", "abcehi"],
  ["repo=x&unknown=1", "abcehi"],
  ["tier=1,2,3", "abcefhi"],
  ["tier=3", "f"],
  ["tier=9", "abcehi"],
  ["resultStatus=testfailed,busted", "bh"],
  ["resultStatus=testfailed", "bh"],
  ["resultStatus=busted", "bh"],
  ["resultStatus=exception,running", "ce"],
  ["resultStatus=usercancel&tier=3", "f"],
  ["resultStatus=unscheduled", "d"],
  ["resultStatus=superseded", "g"],
  ["resultStatus=retry", "i"],
  ["resultStatus=nonsense", ""],
  ["classifiedState=classified", "h"],
  ["classifiedState=unclassified&resultStatus=testfailed", "b"],
  ["classifiedState=classified,unclassified", "abcehi"],
  ["failure_classification_id=4", "h"],
  ["failure_classification_id=2,4", "h"],
  ["searchStr=debug", "e"],
  ["searchStr=MOCHI%20opt", "bc"],
  ["searchStr=nothing", ""],
  ["job_type_symbol=2&resultStatus=unscheduled", "d"],
  ["job_type_symbol=b", "a"],
  ["job_group_symbol=m&platform=opt", "bc"],
  ["job_type_name=build", "a"],
  ["filter-platform=debug", "e"],
  ["filter-job_type_name=build", "a"],
  ["job_group_name=reft&tier=3", "f"],
  ["test_paths=dom/", ""],
] as const) {
  test(`filter: ?${search}`, () => assert.equal(shown(search), want));
}

test("states survive their way through the URL", () => {
  const only = new Set<Status>(["testfailed", "running"]);
  assert.equal(formatStatuses(only), "testfailed,busted,running");
  assert.deepEqual(parseFilter(new URLSearchParams({ resultStatus: formatStatuses(only)! })).statuses, only);
  assert.equal(formatStatuses(new Set(DEFAULT)), null);
  assert.equal(parseFilter(new URLSearchParams({ resultStatus: formatStatuses(new Set())! })).statuses.size, 0);
  assert.equal(formatTiers(new Set([2, 1])), null);
  assert.equal(formatTiers(new Set([3, 1])), "1,3");
});

test("rows and groups", () => {
  const text = arrange(cells).map((r) => `${r.platform}: ` + r.groups.map((g) => `${g.symbol}/${g.tier}(${g.cells.map((c) => c.symbol).join(" ")})`).join(" "));
  assert.deepEqual(text, ["linux32 opt: Wr/3(1)", "linux64 opt: ?/1(B) M/1(1 2 10)", "linux64 debug: M/2(1)", "mac: K/1(k t) M/1(s)"]);
});

test("verdicts", () => {
  const of = (push: Parameters<typeof verdict>[0], ...states: (State | Partial<Cell>)[]) =>
    verdict(push, statsOf(states.map((s, i) => cell(typeof s === "string" ? { state: s, id: String(i), name: String(i) } : { id: String(i), name: String(i), ...s })), new Set(["old"]), 1000)).text;
  assert.equal(of("received"), "Deciding");
  assert.equal(of("failed"), "No tasks: the decision failed");
  assert.equal(of("decided", "passed", "passed"), "All passed");
  assert.equal(of("decided", "passed", "pending"), "No failures");
  assert.equal(of("decided", "passed", "failed", "running", "pending"), "1 new failure");
  assert.equal(of("decided", "failed", { state: "failed", name: "old" }, { state: "exception", reason: "worker-shutdown" }, { state: "failed", name: "x" }, { name: "x" }), "1 new failure, 2 known, 1 infra");
  assert.equal(of("decided", "cancelled", "cancelled"), "Cancelled");
});
