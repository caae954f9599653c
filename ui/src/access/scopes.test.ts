import { test } from "node:test";
import assert from "node:assert/strict";
import { blocked, compareLists, covers, lines } from "./scopes.ts";

test("a scope with a star gives what begins so, and only at its end", () => {
  assert.equal(covers("a:*", "a:b"), true);
  assert.equal(covers("a:*", "a:"), true);
  assert.equal(covers("a:*", "a"), false);
  assert.equal(covers("a*b", "axb"), false);
  assert.equal(covers("*", "anything"), true);
  assert.equal(covers("a:b", "a:*"), false);
});

test("what came and went, whatever the order", () => {
  assert.deepEqual(compareLists(["b", "a"], lines(" a \n\nc\nc")), { added: ["c"], removed: ["b"] });
});

test("what is wider than one's own is blocked, what was given before is not", () => {
  assert.deepEqual(blocked(["*", "queue:*", "queue:x", "old:y"], ["old:*"], ["queue:x"]), ["*", "queue:*"]);
});
