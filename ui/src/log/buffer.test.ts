import assert from "node:assert/strict";
import test from "node:test";
import { find, formatHash, LogBuffer, parseHash, pattern } from "./buffer.ts";

test("chunks may end anywhere", () => {
  const whole = "one\r\ntwo\n\nthree\rTHREE\n\x1b[31mfour\nfive";
  for (let cut = 0; cut <= whole.length; cut++) {
    const b = new LogBuffer();
    b.append(whole.slice(0, cut));
    b.append(whole.slice(cut));
    assert.deepEqual(b.lines, ["one", "two", "", "three\rTHREE", "\x1b[31mfour", "five"], `cut at ${cut}`);
    assert.equal(b.open, true);
    assert.equal(b.look(4).fg, null);
    assert.equal(b.look(5).fg, 1);
  }
});

test("a final newline opens no line", () => {
  const b = new LogBuffer();
  b.append("a\n");
  assert.deepEqual(b.lines, ["a"]);
  assert.equal(b.open, false);
});

test("copied text has no codes", () => {
  const b = new LogBuffer();
  b.append("\x1b[31ma\x1b[0m\nb\n1%\r2%\n");
  assert.equal(b.copy(0, 2), "a\nb\n2%");
});

test("search", () => {
  const b = new LogBuffer();
  b.append("an Error here\nerr\x1b[31mor\x1b[0m there, error\n(a.b)\n");
  const count = (q: string) => {
    const re = pattern(q);
    return re ? find(b, re, 0, b.lines.length).length : -1;
  };
  assert.equal(count("error"), 3);
  assert.equal(count("Error"), 1, "a capital makes case matter");
  assert.equal(count("(a.b)"), 1, "signs are literal");
  assert.equal(count("/^e.*r$/"), 1, "a regular expression");
  assert.equal(count("/x*/"), 0, "empty matches end");
  assert.equal(count("/(/"), -1, "a broken expression");
  assert.deepEqual(find(b, pattern("there")!, 0, 3), [{ line: 1, from: 6, to: 11 }]);
});

test("hashes of lines", () => {
  assert.deepEqual(parseHash("#L120-140"), [119, 139]);
  assert.deepEqual(parseHash("#L140-L120"), [119, 139]);
  assert.deepEqual(parseHash("#L7"), [6, 6]);
  for (const bad of ["", "#", "#L0", "#L1-", "#Lx", "#L1-2-3", "#x"]) assert.equal(parseHash(bad), null, bad);
  assert.equal(formatHash(119, 139), "#L120-140");
  assert.equal(formatHash(6, 6), "#L7");
});
