import assert from "node:assert/strict";
import test from "node:test";
import { search } from "./fuzzy.ts";

const labels = ["build-linux64/opt", "test-linux64/opt-mochitest-1", "test-linux64/opt-mochitest-10", "test-macosx64/opt-mochitest-1", "source-test-mozlint-eslint", "test-linux64/opt-xpcshell"];

test("words as texts come before letters in order, and every word must be found", () => {
  for (const [query, want] of [
    ["moch lin", ["test-linux64/opt-mochitest-1", "test-linux64/opt-mochitest-10"]],
    ["xpc", ["test-linux64/opt-xpcshell"]],
    ["ESLINT", ["source-test-mozlint-eslint"]],
    ["mcht mac", ["test-macosx64/opt-mochitest-1"]],
    ["nothing-of-it", []],
  ] as const) assert.deepEqual(search(labels, query, 50).filter((h) => h.score > 0).map((h) => h.label), want, query);
  assert.equal(search(labels, "", 3).length, 3);
});

test("the letters that fit are told", () => assert.deepEqual(search(["abc-moch"], "moch", 1)[0]!.at, [4, 5, 6, 7]));

test("13,000 labels are searched at once", () => {
  const many = Array.from({ length: 13_000 }, (_, i) => `test-linux${i % 7}-64/opt-mochitest-${["plain", "browser", "a11y"][i % 3]}-fis-${i}`);
  const started = performance.now();
  assert.equal(search(many, "moch lin", 50).length, 50);
  assert.ok(performance.now() - started < 1000);
});
