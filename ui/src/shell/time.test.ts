import assert from "node:assert/strict";
import test from "node:test";
import { bytes, duration, plural, relative } from "./time.ts";

test("durations", () => {
  const s = 1000;
  for (const [ms, want] of [
    [-5, "0.0s"], [420, "0.4s"], [999, "0.9s"], [s, "1s"], [59 * s, "59s"], [60 * s, "1m 00s"], [185 * s, "3m 05s"],
    [3600 * s, "1h 00m"], [3720 * s, "1h 02m"], [86400 * s * 2 + 3 * 3600 * s, "2d 03h"],
  ] as const) assert.equal(duration(ms), want);
});

test("relative times", () => {
  const to = 1_000_000_000_000;
  for (const [ago, want] of [
    [0, "just now"], [-0.5, "just now"], [42, "42 s ago"], [61, "1 min ago"], [7200, "2 h ago"], [86400, "1 day ago"], [86400 * 3, "3 days ago"],
    [-300, "in 5 min"], [-5, "in a moment"],
  ] as const) assert.equal(relative(to - ago * 1000, to), want);
});

test("sizes", () => {
  for (const [n, want] of [[-1, ""], [0, "0 B"], [999, "999 B"], [1000, "1.0 KB"], [12_345, "12 KB"], [999_900, "1.0 MB"], [5_600_000_000, "5.6 GB"]] as const) {
    assert.equal(bytes(n), want);
  }
});

test("plurals", () => {
  assert.equal(plural(1, "task"), "1 task");
  assert.equal(plural(0, "task"), "0 tasks");
  assert.equal(plural(2, "push", "pushes"), "2 pushes");
});
