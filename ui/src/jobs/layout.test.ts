import assert from "node:assert/strict";
import test from "node:test";
import type { Cell, State } from "../shell/data.ts";
import { arrange, parseFilter } from "./filter.ts";
import { beside, layOut, type Line } from "./layout.ts";

const cells: Cell[] = Array.from({ length: 60 }, (_, i) => ({
  id: `t${i}`, name: `n${i}`, symbol: String(i), group: i < 40 ? "M" : "?", groupName: "", platform: i < 50 ? "linux" : "mac", tier: 1, queue: "", state: (i % 10 === 3 ? "failed" : "passed") as State,
  reason: "", run: 0, runs: 1, scheduled: 1, started: 1, ended: 1,
}));
const lay = (over: object = {}, width = 400) =>
  layOut(arrange(cells), { filter: parseFilter(new URLSearchParams()), everything: false, expanded: new Set<string>(), closed: new Set<string>(), selected: "", chosen: () => false, ghosts: 0, ...over }, { ch: 8, width, own: false });

const text = (l: Line) => l.items.map((i) => (i.kind === "cell" ? i.cell.symbol : i.kind === "more" ? `+${i.n}` : i.kind === "open" ? i.text + "(" : i.text)).join(" ").trim();

test("a large group shows failures and counts", () => {
  const l = lay();
  assert.ok(l.lines.map(text).join(" ").includes("M( 3 13 23 33 +36 )"), l.lines.map(text).join(" "));
  assert.equal(l.passing, 60);
  assert.deepEqual([...l.folded], ["linux|M|1"]);
});

test("the selected cell is drawn, whatever its group", () => assert.ok(lay({ selected: "t7" }).cells.has("t7")));

test("an open group has every cell, and no line is wider than it may be", () => {
  const l = lay({ everything: true });
  assert.equal(l.order.length, 60);
  for (const line of l.lines) assert.ok(line.items.every((i) => i.x + i.w <= 400 || i.x === 0));
});

test("up and down stay in the column", () => {
  const l = lay({ everything: true });
  const from = l.lines[2]!.items.find((i) => i.kind === "cell");
  assert.ok(from?.kind === "cell");
  const up = beside(l, from.cell.id, -1)!;
  assert.equal(l.cells.get(up.id), 1);
  assert.equal(beside(l, up.id, 1)!.id, from.cell.id);
});

test("jobs that could be added fold by themselves, and what exists stays as it is", () => {
  const ghosts: Cell[] = Array.from({ length: 30 }, (_, i) => ({ ...cells[0]!, id: `new:c${i}`, name: `c${i}`, symbol: `c${i}`, group: "Q", ghost: true, state: "unscheduled" }));
  const some: Cell[] = Array.from({ length: 3 }, (_, i) => ({ ...cells[0]!, id: `q${i}`, name: `q${i}`, symbol: `q${i}`, group: "Q" }));
  const at = { filter: parseFilter(new URLSearchParams("resultStatus=success")), everything: false, expanded: new Set<string>(), closed: new Set<string>(), selected: "", chosen: (id: string) => id === "new:c7", ghosts: 1000 };
  const l = layOut(arrange([...some, ...ghosts]), at, { ch: 8, width: 800, own: false });
  assert.ok(l.lines.map(text).join(" ").includes("Q( c7 q0 q1 q2 +29 )"), l.lines.map(text).join(" "));
  const few = layOut(arrange([...some, ...ghosts.slice(0, 5)]), at, { ch: 8, width: 800, own: false });
  assert.equal(few.order.length, 8);
  assert.equal(beside(few, "q0", 1, true), undefined);
});
