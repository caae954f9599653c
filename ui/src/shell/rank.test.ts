import assert from "node:assert/strict";
import test from "node:test";
import { rank } from "./rank.ts";

test("the start of a name comes before the start of a word, that before the middle, that before letters apart", () => {
  const names = ["Task groups", "Create a task", "Multitasking", "The artisans like", "Hooks"];
  const order = names.map((n) => ({ n, r: rank(n, "task") })).filter(({ r }) => r >= 0).sort((a, b) => a.r - b.r).map(({ n }) => n);
  assert.deepEqual(order, ["Task groups", "Create a task", "Multitasking", "The artisans like"]);
});
