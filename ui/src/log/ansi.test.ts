import assert from "node:assert/strict";
import test from "node:test";
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

const cases: [string, string, string][] = [
  ["plain text", "hello", "[]hello"],
  ["empty line", "", ""],
  ["tab is kept", "a\tb", "[]a\tb"],
  ["markup stays text", "<img src=x onerror=alert(1)>", "[]<img src=x onerror=alert(1)>"],
  ["red", `${E}[31mred${E}[0m.`, "[fg=1]red[]."],
  ["empty parameters reset", `${E}[31mred${E}[m.`, "[fg=1]red[]."],
  ["bold red", `${E}[1;31mx`, "[fg=1,b]x"],
  ["bold off", `${E}[1mx${E}[22my`, "[b]x[]y"],
  ["faint", `${E}[2mx`, "[f]x"],
  ["faint off", `${E}[2mx${E}[22my`, "[f]x[]y"],
  ["italic", `${E}[3mx${E}[23my`, "[i]x[]y"],
  ["underline", `${E}[4mx${E}[24my`, "[u]x[]y"],
  ["curly underline", `${E}[4:3mx${E}[4:0my`, "[u]x[]y"],
  ["double underline", `${E}[21mx`, "[u]x"],
  ["inverse", `${E}[7mx${E}[27my`, "[inv]x[]y"],
  ["hidden", `${E}[8mx${E}[28my`, "[hid]x[]y"],
  ["strike", `${E}[9mx${E}[29my`, "[s]x[]y"],
  ["bright", `${E}[92mx`, "[fg=10]x"],
  ["background", `${E}[44mx${E}[49my`, "[bg=4]x[]y"],
  ["bright background", `${E}[101mx`, "[bg=9]x"],
  ["default foreground", `${E}[31mx${E}[39my`, "[fg=1]x[]y"],
  ["256 colours", `${E}[38;5;208mx`, "[fg=208]x"],
  ["256 colours, background", `${E}[48;5;17mx`, "[bg=17]x"],
  ["256 colours with colons", `${E}[38:5:208mx`, "[fg=208]x"],
  ["true colour", `${E}[38;2;255;128;0mx`, "[fg=#ff8000]x"],
  ["true colour with colons", `${E}[38:2:255:128:0mx`, "[fg=#ff8000]x"],
  ["true colour with colour space", `${E}[38:2::255:128:0mx`, "[fg=#ff8000]x"],
  ["true colour, background", `${E}[48;2;1;2;3mx`, "[bg=#010203]x"],
  ["colour then weight", `${E}[38;5;9;1mx`, "[fg=9,b]x"],
  ["colour index out of range is ignored", `${E}[38;5;256mx`, "[]x"],
  ["true colour out of range is ignored", `${E}[38;2;1;2;300mx`, "[]x"],
  ["cut true colour is ignored", `${E}[38;2mx`, "[]x"],
  ["unknown number is ignored", `${E}[73mx`, "[]x"],
  ["no number at all", `${E}[31;abcmx`, "[]bcmx"],
  ["private SGR is dropped", `${E}[>4;1mx`, "[]x"],
  ["cursor up is dropped", `a${E}[2Ab`, "[]ab"],
  ["clear screen is dropped", `${E}[2J${E}[Hx`, "[]x"],
  ["private mode is dropped", `${E}[?25lx${E}[?25h`, "[]x"],
  ["unfinished sequence at the end is dropped", `x${E}[31`, "[]x"],
  ["lonely escape at the end", `x${E}`, "[]x"],
  ["two-byte escape", `${E}(Bx${E}7y`, "[]xy"],
  ["window title is dropped", `${E}]0;title\x07x`, "[]x"],
  ["window title ended by ST", `${E}]2;title${E}\\x`, "[]x"],
  ["device control string is dropped", `${E}P1;2|data${E}\\x`, "[]x"],
  ["application command is dropped", `a${E}_secret${E}\\b`, "[]ab"],
  ["bell and other controls are dropped", "a\x07b\x00c\x0ed\x7fe", "[]abcde"],
  ["C1 controls are dropped", "a\x85b", "[]ab"],
  ["8-bit CSI", "\x9b31mx", "[fg=1]x"],
  ["link", `${E}]8;;https://example.com/a${E}\\here${E}]8;;${E}\\.`, "[->https://example.com/a]here[]."],
  ["link with id", `${E}]8;id=1;http://example.com\x07x${E}]8;;\x07`, "[->http://example.com]x"],
  ["script link is no link", `${E}]8;;javascript:alert(1)${E}\\x`, "[]x"],
  ["data link is no link", `${E}]8;;data:text/html,x${E}\\x`, "[]x"],
  ["reset keeps the link open", `${E}]8;;https://a.b${E}\\${E}[31mx${E}[0my`, "[fg=1,->https://a.b]x[->https://a.b]y"],
  ["carriage return shows the last state", "10%\r50%\r100%", "[]100%"],
  ["shorter rewrite leaves the tail", "abcdef\rxy", "[]xycdef"],
  ["carriage return at the end", "done\r", "[]done"],
  ["erase to the end", `abcdef\rxy${E}[K`, "[]xy"],
  ["erase the line", `abcdef${E}[2K\rxy`, "[]xy"],
  ["erase to the start", `abc\rx${E}[1K`, "[]  c"],
  ["backspace", "abx\b\bcd", "[]acd"],
  ["cursor column", `abc${E}[1Gx`, "[]xbc"],
  ["cursor forward", `a${E}[3Cb`, "[]a   b"],
  ["cursor back", `abc${E}[2Dx`, "[]axc"],
  ["delete characters", `abcdef\r${E}[2P`, "[]cdef"],
  ["colour with carriage return", `${E}[31ma\r${E}[32mb`, "[fg=2]b"],
  ["huge cursor column does not fill memory", `${E}[999999999Gx`, ""],
  ["emoji stays whole", "a\u{1f332}b\rx", "[]x\u{1f332}b"],
];

for (const [name, line, want] of cases) {
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
