import assert from "node:assert/strict";
import test from "node:test";
import type { Cell, State } from "../shell/data.ts";
import { arrange, formatStates, matches, parseFilter, verdict } from "./filter.ts";

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
];

const shown = (search: string): string => {
  const f = parseFilter(new URLSearchParams(search));
  return cells.filter((c) => matches(c, f)).map((c) => c.id).join("");
};

for (const [search, want] of [
  ["", "abcde"],
  ["repo=x&unknown=1", "abcde"],
  ["tier=1,2,3", "abcdef"],
  ["tier=3", "f"],
  ["tier=9", "abcde"],
  ["resultStatus=testfailed,busted", "b"],
  ["resultStatus=testfailed", "b"],
  ["resultStatus=exception,running", "ce"],
  ["resultStatus=usercancel&tier=3", "f"],
  ["resultStatus=unscheduled", "d"],
  ["resultStatus=nonsense", ""],
  ["searchStr=debug", "e"],
  ["searchStr=MOCHI%20opt", "bcd"],
  ["searchStr=nothing", ""],
  ["job_type_symbol=2", "d"],
  ["job_type_symbol=b", "a"],
  ["job_group_symbol=m&platform=opt", "bcd"],
  ["job_type_name=build", "a"],
  ["filter-platform=debug", "e"],
  ["job_group_name=reft&tier=3", "f"],
] as const) {
  test(`filter: ?${search}`, () => assert.equal(shown(search), want));
}

test("states survive their way through the URL", () => {
  const only = new Set<State>(["failed", "running"]);
  assert.equal(formatStates(only), "testfailed,busted,running");
  assert.deepEqual(parseFilter(new URLSearchParams({ resultStatus: formatStates(only)! })).states, only);
  assert.equal(formatStates(parseFilter(new URLSearchParams()).states), null);
  assert.equal(parseFilter(new URLSearchParams({ resultStatus: formatStates(new Set())! })).states.size, 0);
});

test("rows and groups", () => {
  const text = arrange(cells).map((r) => `${r.platform}: ` + r.groups.map((g) => `${g.symbol}/${g.tier}(${g.cells.map((c) => c.symbol).join(" ")})`).join(" "));
  assert.deepEqual(text, ["linux32 opt: Wr/3(1)", "linux64 opt: ?/1(B) M/1(1 2 10)", "linux64 debug: M/2(1)"]);
});

test("verdicts", () => {
  const of = (push: Parameters<typeof verdict>[0]["state"], ...states: State[]) => verdict({ state: push }, states.map((state) => cell({ state }))).text;
  assert.equal(of("received"), "Deciding");
  assert.equal(of("failed"), "No tasks: the decision failed");
  assert.equal(of("decided", "passed", "passed"), "All passed");
  assert.equal(of("decided", "passed", "pending"), "50%");
  assert.equal(of("decided", "passed", "failed", "running", "pending"), "1 failed so far, 50%");
  assert.equal(of("decided", "passed", "failed", "exception"), "2 failed");
  assert.equal(of("decided", "cancelled", "cancelled"), "Cancelled");
});
