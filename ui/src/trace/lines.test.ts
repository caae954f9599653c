import assert from "node:assert/strict";
import test from "node:test";
import type { Row, Trace } from "./data.ts";
import { linesOf, sentence, stateOf, stepsByRow } from "./lines.ts";

const row = (id: string, kind: string, critical = false, more: Partial<Row> = {}): Row => ({
  what: "task", id, name: `the ${id}`, kind, state: "completed", critical,
  bars: [{ what: "worker", from: 10, to: 20, run: 0, why: "priority", text: "2 tasks of higher priority went first" }, { what: "run", from: 20, to: 50, run: 0, state: "completed", worker: "g/w" }], ...more,
});

const trace: Trace = {
  traceId: "t", title: "T", start: 0, takes: 100, settled: true, result: "success", data: "", file: "",
  rows: [row("a", "build", true), row("b", "test"), row("c", "build"), row("d", "")],
  critical: [{ what: "decision", run: 0, from: 0, to: 10, text: "" }, { what: "run", task: "a", run: 0, from: 20, to: 50, text: "ran" }],
};
const all = { text: "", critical: false, grouped: false, shut: new Set<string>() };
const keys = (choice: Partial<typeof all>) => linesOf(trace, { ...all, ...choice }).map((l) => l.key);

test("lines are the rows, or those that are looked for", () => {
  assert.deepEqual(keys({}), ["a", "b", "c", "d"]);
  assert.deepEqual(keys({ text: "TEST the" }), ["b"]);
  assert.deepEqual(keys({ text: "higher priority build" }), ["a", "c"]);
  assert.deepEqual(keys({ critical: true }), ["a"]);
});

test("kinds stand above their rows, which can be hidden", () => {
  assert.deepEqual(keys({ grouped: true, shut: new Set(["build"]) }), ["kind build", "kind test", "b", "kind no kind", "d"]);
  const [first] = linesOf(trace, { ...all, grouped: true });
  assert.deepEqual([first!.from, first!.to, first!.critical, first!.rows.length], [10, 50, true, 2]);
});

test("times are told in words", () => {
  assert.deepEqual(trace.rows[0]!.bars.map(sentence), ["0.0s for a worker: 2 tasks of higher priority went first", "run 0 took 0.0s on g/w"]);
  assert.equal(sentence({ what: "needs", from: 0, to: 5000, run: 0, open: true, text: "waits for x" }), "has waited 5s for tasks: waits for x");
  assert.equal(sentence({ what: "artifacts", from: 0, to: 1000, run: 0, artifacts: 2, bytes: 1500 }), "stored 2 artifacts, 1.5 KB, within 1s");
});

test("a task that was cancelled is not one that nobody could do", () => {
  assert.equal(stateOf(row("x", "", false, { state: "exception", bars: [{ what: "run", from: 0, to: 1, run: 0, result: "canceled" }] })), "cancelled");
  assert.equal(stateOf(row("x", "")), "passed");
});

test("steps are found by their row", () => {
  assert.deepEqual([...stepsByRow(trace).keys()], ["decision", "a"]);
});
