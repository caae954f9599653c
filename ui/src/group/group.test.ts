import assert from "node:assert/strict";
import test from "node:test";
import type { Cell, State } from "../shell/data.ts";
import { select } from "./table.ts";
import { axis, span } from "./timeline.ts";

function cell(name: string, state: State, scheduled = 0, started = 0, ended = 0): Cell {
  return {
    id: name, name, symbol: "", group: "?", groupName: "", platform: "", tier: 1, queue: name.startsWith("b") ? "p/big" : "p/small", state, reason: "",
    run: 0, runs: 1, scheduled, started, ended,
  };
}

const cells = [cell("test-10", "passed", 1000, 2000, 9000), cell("test-2", "failed", 1000, 3000, 4000), cell("build", "passed", 0, 1000, 2000), cell("later", "unscheduled")];

test("rows of a group", () => {
  const names = (state: State | "", text: string, sort: string) => select(cells, state, text, sort).map((c) => c.name).join(" ");
  assert.equal(names("", "", ""), "test-2 later build test-10", "what needs a look stands first");
  assert.equal(names("passed", "", "name"), "build test-10");
  assert.equal(names("", "", "name"), "build later test-2 test-10", "numbers count as numbers");
  assert.equal(names("", "", "-name"), "test-10 test-2 later build");
  assert.equal(names("", "", "ran"), "test-2 build test-10 later");
  assert.equal(names("", "", "-ran"), "test-10 test-2 build later", "what has no value stands last both ways");
  assert.equal(names("", "big", ""), "build");
  assert.equal(names("", "test small", ""), "test-2 test-10");
});

test("the span of a group", () => {
  assert.deepEqual(span(cells, 99_000), { from: 1000, to: 9000, length: 8000 });
  assert.deepEqual(span([cell("x", "running", 5000, 6000)], 20_000), { from: 5000, to: 20_000, length: 15_000 });
  assert.deepEqual(span([], 7), { from: 7, to: 7, length: 1000 });
});

test("the axis has few round marks", () => {
  assert.deepEqual(axis(1000), [0, 1000]);
  assert.deepEqual(axis(59_000), [0, 10_000, 20_000, 30_000, 40_000, 50_000]);
  for (const length of [1, 5e3, 7e4, 3.6e6, 9e7, 9e9]) assert.ok(axis(length).length <= 7, String(length));
});
