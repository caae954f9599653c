import assert from "node:assert/strict";
import test from "node:test";
import type { Cell } from "../shell/data.ts";
import { arrange, barAt } from "./lanes.ts";

const cell = (id: string, queue: string, scheduled: number, started: number, ended: number): Cell =>
  ({ id, name: id, queue, scheduled, started, ended, state: ended ? "passed" : started ? "running" : "pending" }) as Cell;

test("tasks of a lane that are there at the same time lie in different rows", () => {
  const cells: Cell[] = [];
  for (let i = 0; i < 500; i++) cells.push(cell(`t${i}`, `q${i % 3}`, 1000 + ((i * 37) % 900), 1500 + ((i * 37) % 900), 1600 + ((i * 91) % 1200)));
  cells.push(cell("never", "q0", 0, 0, 0));
  const l = arrange(cells, 5000, (c) => c.queue);
  assert.equal(l.bars.length, 500);
  assert.deepEqual(l.lanes.map((x) => x.name), ["q0", "q1", "q2"]);
  assert.equal(l.lanes.reduce((n, x) => n + x.rows, 0), l.rows);
  for (let row = 0; row < l.rows; row++) {
    for (let i = l.starts[row]! + 1; i < l.starts[row + 1]!; i++) assert.ok(l.bars[i - 1]!.to <= l.bars[i]!.from);
  }
});

test("the bar below a place", () => {
  const l = arrange([cell("a", "q", 100, 150, 200), cell("b", "q", 300, 0, 0)], 500, (c) => c.queue);
  assert.equal(barAt(l, 0, 120, 0)?.cell.id, "a");
  assert.equal(barAt(l, 0, 250, 0), undefined);
  assert.equal(barAt(l, 0, 250, 60)?.cell.id, "a");
  assert.equal(barAt(l, 0, 290, 20)?.cell.id, "b");
  assert.equal(barAt(l, 0, 400, 0)?.cell.id, "b");
  assert.equal(barAt(l, 1, 400, 0), undefined);
});
