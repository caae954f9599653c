import assert from "node:assert/strict";
import test from "node:test";
import { formatHash, parseHash, RowMap } from "./place.ts";

test("addresses of lines", () => {
  assert.deepEqual(parseHash("#L1"), [0, 0]);
  assert.deepEqual(parseHash("#L120-140"), [119, 139]);
  assert.deepEqual(parseHash("#L140-L120"), [119, 139]);
  for (const bad of ["", "#L0", "#L", "#L1-0", "#x", "#L1x"]) assert.equal(parseHash(bad), null, bad);
  assert.equal(formatHash(119, 139), "#L120-140");
  assert.equal(formatHash(4, 4), "#L5");
});

test("rows and lines lead to each other, whatever is folded", () => {
  for (let round = 0; round < 200; round++) {
    const total = 1 + ((round * 37) % 60);
    const folds: [number, number][] = [];
    for (let i = 0; i < round % 5; i++) {
      const from = (round * 13 + i * 17) % total;
      folds.push([from, Math.min(total - 1, from + ((round + i * 5) % 9))]);
    }
    const map = new RowMap();
    map.grow(total);
    map.fold(folds);
    const shown = Array.from({ length: total }, (_, i) => i).filter((i) => !folds.some(([a, b]) => i >= a && i <= b));
    assert.equal(map.rows, shown.length);
    shown.forEach((line, row) => {
      assert.equal(map.line(row), line);
      assert.equal(map.row(line), row);
      assert.equal(map.folded(line), false);
    });
  }
});

test("only some lines", () => {
  const map = new RowMap();
  map.grow(100);
  map.pick([3, 50, 99]);
  assert.equal(map.rows, 3);
  assert.deepEqual([0, 1, 2].map((r) => map.line(r)), [3, 50, 99]);
  assert.deepEqual([3, 49, 50, 99].map((l) => map.row(l)), [0, 0, 1, 2]);
});
