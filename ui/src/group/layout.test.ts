import assert from "node:assert/strict";
import test from "node:test";
import { layout, type Box } from "./layout.ts";

// random numbers that are the same each time
function dice(seed: number): () => number {
  return () => ((seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648);
}

function graph(seed: number): [number, [number, number][]] {
  const roll = dice(seed);
  const n = 2 + Math.floor(roll() * 58);
  const edges: [number, number][] = [];
  for (let i = 1; i < n; i++) {
    for (let k = 0; k < 3; k++) {
      const from = Math.floor(roll() * i);
      if (roll() < 0.6 && !edges.some(([a, b]) => a === from && b === i)) edges.push([from, i]);
    }
  }
  return [n, edges];
}

// crosses reports whether a line goes through a box, not counting its rim.
function crosses(b: Box, [x1, y1]: [number, number], [x2, y2]: [number, number]): boolean {
  for (let i = 0; i <= 200; i++) {
    const x = x1 + ((x2 - x1) * i) / 200;
    const y = y1 + ((y2 - y1) * i) / 200;
    if (x > b.x + 0.5 && x < b.x + b.width - 0.5 && y > b.y + 0.5 && y < b.y + b.height - 0.5) return true;
  }
  return false;
}

test("no edge goes through a node, no two nodes share a place, and it is the same each time (GR4)", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const [n, edges] = graph(seed);
    const l = layout(n, edges);
    assert.deepEqual(layout(n, edges), l);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        const a = l.boxes[i]!;
        const b = l.boxes[j]!;
        assert.ok(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y, `graph ${seed}: nodes ${i} and ${j}`);
      }
    }
    l.paths.forEach((path, e) => {
      for (let k = 1; k < path.length; k++) {
        l.boxes.forEach((box, i) => assert.ok(!crosses(box, path[k - 1]!, path[k]!), `graph ${seed}: edge ${edges[e]} through node ${i}`));
      }
    });
  }
});

test("a circle is drawn too", () => {
  const l = layout(3, [[0, 1], [1, 2], [2, 0]]);
  assert.equal(l.paths.length, 3);
  assert.equal(layout(0, []).boxes.length, 0);
});
