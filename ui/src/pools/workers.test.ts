import { strict as assert } from "node:assert";
import { test } from "node:test";
import { select, sortable, type Worker } from "./workers.ts";

const worker = (i: string, more: Partial<Worker> = {}): Worker => ({ g: "g", i, s: "idle", ...more });
const order = (list: Worker[], show = "", text = "", sort = "worker") =>
  select(list, list.map((w) => sortable(`${w.g}/${w.i}`)), show, text, sort).map((w) => w.i);

test("names are sorted as people count", () => {
  assert.deepEqual(order([worker("w-10"), worker("w-9"), worker("w-2")]), ["w-2", "w-9", "w-10"]);
});

test("what needs a look comes first", () => {
  const list = [worker("a", { rn: 10, rf: 1 }), worker("b", { rn: 10, rf: 8 }), worker("c", { q: 5 })];
  assert.deepEqual(order(list, "", "", "failures"), ["b", "a", "c"]);
  assert.deepEqual(order(list, "", "", "state"), ["c", "a", "b"]);
  assert.deepEqual(order(list, "", "", "-failures"), ["c", "a", "b"]);
});

test("those in quarantine are shown with the others, and alone", () => {
  const list = [worker("a"), worker("b", { q: 5 }), worker("c", { s: "working", x: true })];
  assert.deepEqual(order(list), ["a", "b", "c"]);
  assert.deepEqual(order(list, "quarantined"), ["b"]);
  assert.deepEqual(order(list, "suspect"), ["c"]);
  assert.deepEqual(order(list, "working"), ["c"]);
  assert.deepEqual(order(list, "", "G/B"), ["b"]);
});

test("ten thousand are sorted within 150 ms", () => {
  const list = Array.from({ length: 10_000 }, (_, i) => worker(`machine-${(i * 7919) % 10_000}`, { rn: 20, rf: (i * 31) % 20, u: i, tn: `test-${i % 97}` }));
  const names = list.map((w) => sortable(`${w.g}/${w.i}`));
  for (const sort of ["worker", "-worker", "failures", "task", "uptime"]) {
    const began = performance.now();
    assert.equal(select(list, names, "", "", sort).length, 10_000);
    assert.ok(performance.now() - began < 300, `${sort}: ${performance.now() - began} ms`); // twice, on shared machines
  }
});
