import assert from "node:assert/strict";
import test from "node:test";
import cases from "./ansi.cases.json";
import { advance, hex, isPlain, parse, plainLook, text, type Look } from "./ansi.ts";

const E = "\x1b";

// show writes spans in a short form: [fg=1,b]text
function show(line: string, look: Look = plainLook()): string {
  return parse(line, look).map((s) => {
    const l = s.look;
    const marks = [
      l.fg !== null ? `fg=${l.fg}` : "", l.bg !== null ? `bg=${l.bg}` : "", l.bold ? "b" : "", l.faint ? "f" : "", l.italic ? "i" : "",
      l.underline ? "u" : "", l.strike ? "s" : "", l.inverse ? "inv" : "", l.hidden ? "hid" : "", l.href ? `->${l.href}` : "",
    ].filter(Boolean).join(",");
    return (marks ? `[${marks}]` : "[]") + s.text;
  }).join("");
}

for (const [name, line, want] of cases as [string, string, string][]) {
  test(`ansi: ${name}`, () => assert.equal(show(line), want));
}

test("a look carries over to the next line", () => {
  const look = plainLook();
  parse(`${E}[1;31mfirst`, look);
  assert.equal(show("second", look), "[fg=1,b]second");
  advance(`x${E}[0m`, look);
  assert.ok(isPlain(look));
});

test("text is what a person reads", () => {
  assert.equal(text(`${E}[31mred${E}[0m \r${E}]8;;https://a.b${E}\\go${E}]8;;${E}\\`), "god");
});

test("extended colours become hex", () => {
  assert.equal(hex(208), "#ff8700");
  assert.equal(hex(232), "#080808");
  assert.equal(hex(16), "#000000");
  assert.equal(hex(3), "");
  assert.equal(hex("#010203"), "#010203");
});

test("a long line with many codes takes linear time", () => {
  const line = `${E}[31mx${E}[0my`.repeat(100_000);
  const start = performance.now();
  assert.equal(parse(line, plainLook()).length, 200_000);
  assert.ok(performance.now() - start < 5_000);
});
