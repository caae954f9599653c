// Terminal escape codes in log lines: colours and weight (SGR), links (OSC 8), and the small
// motions that progress bars use (carriage return, backspace, erase in line). All else is dropped.
// The output is data; nothing in a log can become markup.

/** How text looks. A colour is an index (0-255), "#rrggbb", or null for the default. */
export interface Look {
  fg: number | string | null;
  bg: number | string | null;
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
  hidden: boolean;
  href: string;
}

export interface Span {
  text: string;
  look: Look;
}

const PLAIN: Look = Object.freeze({
  fg: null, bg: null, bold: false, faint: false, italic: false, underline: false, strike: false, inverse: false, hidden: false, href: "",
});

/** The look that a log starts with. */
export const plainLook = (): Look => ({ ...PLAIN });

export function isPlain(look: Look): boolean {
  return look.fg === null && look.bg === null && !look.bold && !look.faint && !look.italic && !look.underline && !look.strike &&
    !look.inverse && !look.hidden && look.href === "";
}

const MAX_COLUMNS = 20_000; // for lines that move the cursor; others are not limited here
// eslint-disable-next-line no-control-regex
const SPECIAL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
// CSI; OSC up to BEL or ST; DCS, SOS, PM, APC up to ST; two-byte escapes; then single controls.
// An unfinished sequence runs to the end of the line.
const TOKEN =
  // eslint-disable-next-line no-control-regex
  /(?:\x1b\[|\x9b)([0-?]*)([ -/]*)([@-~]|$)|(?:\x1b\]|\x9d)([^\x07\x1b\x9c]*)(?:\x07|\x1b\\|\x9c|$|(?=\x1b))|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c|$|(?=\x1b))|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Whether a line holds anything but text to show as it is. */
export const hasCodes = (line: string): boolean => SPECIAL.test(line);

/** Parses one line, given the look the line before ended with; look is changed to this line's end. */
export function parse(line: string, look: Look): Span[] {
  if (!SPECIAL.test(line)) return line === "" ? [] : [{ text: line, look: { ...look } }];
  return /[\r\b]|\x1b\[[0-9;]*[CDGKPX]/.test(line) ? draw(line, look) : scan(line, look);
}

/** The text of a line as a person sees it: for search and for copying. */
export function text(line: string): string {
  if (!SPECIAL.test(line)) return line;
  return parse(line, plainLook()).map((s) => s.text).join("");
}

/** Changes look to what it is after the line. */
export function advance(line: string, look: Look): void {
  if (!line.includes("\x1b") && !line.includes("\x9b")) return;
  for (const m of line.matchAll(TOKEN)) control(m, look);
}

function scan(line: string, look: Look): Span[] {
  const out: Span[] = [];
  let from = 0;
  const put = (to: number) => {
    if (to > from) push(out, line.slice(from, to), look);
  };
  for (const m of line.matchAll(TOKEN)) {
    put(m.index);
    from = m.index + m[0].length;
    control(m, look);
  }
  put(line.length);
  return out;
}

function push(out: Span[], text: string, look: Look): void {
  const last = out[out.length - 1];
  if (last && same(last.look, look)) last.text += text;
  else out.push({ text, look: { ...look } });
}

// draw plays the line on a row of cells, for lines that move the cursor.
function draw(line: string, look: Look): Span[] {
  const cells: string[] = [];
  const looks: Look[] = [];
  let at = 0;
  let now = { ...look };
  const blank = (from: number, to: number) => {
    for (let i = from; i < to && i < cells.length; i++) {
      cells[i] = " ";
      looks[i] = PLAIN;
    }
  };
  const write = (s: string) => {
    for (const ch of s) {
      if (at >= MAX_COLUMNS) return;
      while (cells.length < at) {
        cells.push(" ");
        looks.push(PLAIN);
      }
      cells[at] = ch;
      looks[at] = now;
      at++;
    }
  };
  let from = 0;
  for (const m of line.matchAll(TOKEN)) {
    write(line.slice(from, m.index));
    from = m.index + m[0].length;
    const n = Math.min(MAX_COLUMNS + 1, Number.parseInt(m[1] || "1", 10) || 1);
    if (m[0] === "\r") at = 0;
    else if (m[0] === "\b") at = Math.max(0, at - 1);
    else if (m[3] === "G") at = n - 1;
    else if (m[3] === "C") at = Math.min(MAX_COLUMNS, at + n);
    else if (m[3] === "D") at = Math.max(0, at - n);
    else if (m[3] === "X") blank(at, at + n);
    else if (m[3] === "P") {
      cells.splice(at, n);
      looks.splice(at, n);
    } else if (m[3] === "K") {
      if (m[1] === "1") blank(0, at + 1);
      else if (m[1] === "2") blank(0, cells.length);
      else cells.length = looks.length = Math.min(cells.length, at);
    } else {
      control(m, look);
      now = { ...look };
    }
  }
  write(line.slice(from));
  while (cells.length > 0 && cells[cells.length - 1] === " " && isPlain(looks[cells.length - 1]!)) {
    cells.pop();
    looks.pop();
  }
  const out: Span[] = [];
  cells.forEach((ch, i) => push(out, ch, looks[i]!));
  return out;
}

function same(a: Look, b: Look): boolean {
  return a.fg === b.fg && a.bg === b.bg && a.bold === b.bold && a.faint === b.faint && a.italic === b.italic &&
    a.underline === b.underline && a.strike === b.strike && a.inverse === b.inverse && a.hidden === b.hidden && a.href === b.href;
}

function control(m: RegExpMatchArray | RegExpExecArray, look: Look): void {
  if (m[3] === "m" && !m[2] && !/[<=>?]/.test(m[1] ?? "")) sgr(m[1] ?? "", look);
  else if (m[4]?.startsWith("8;")) look.href = link(m[4]);
}

// link returns the address of an OSC 8 code when it is one to follow from a page, else "".
function link(osc: string): string {
  const address = osc.slice(osc.indexOf(";", 2) + 1);
  return /^https?:\/\/[^\s/]/i.test(address) && address.length <= 2083 ? address : "";
}

function sgr(params: string, look: Look): void {
  const list = params.split(";");
  for (let i = 0; i < list.length; i++) {
    const [head, ...sub] = list[i]!.split(":");
    const code = head === "" ? 0 : Number(head);
    if (code === 38 || code === 48) {
      const color = sub.length > 0 ? extended(sub[0] === "2" && sub.length > 4 ? ["2", ...sub.slice(2)] : sub) : extended(list.slice(i + 1));
      if (sub.length === 0) i += list[i + 1] === "5" ? 2 : list[i + 1] === "2" ? 4 : list.length;
      if (color !== undefined) look[code === 38 ? "fg" : "bg"] = color;
    } else if (code === 4) look.underline = sub[0] !== "0";
    else attribute(code, look);
  }
}

function extended(args: string[]): number | string | undefined {
  const byte = (s: string | undefined) => {
    const n = s === "" ? 0 : Number(s);
    return Number.isInteger(n) && n >= 0 && n <= 255 ? n : undefined;
  };
  if (args[0] === "5") return byte(args[1]);
  if (args[0] !== "2") return undefined;
  const rgb = [byte(args[1]), byte(args[2]), byte(args[3])];
  if (rgb.some((n) => n === undefined)) return undefined;
  return "#" + rgb.map((n) => n!.toString(16).padStart(2, "0")).join("");
}

function attribute(code: number, look: Look): void {
  switch (code) {
    case 0: {
      const href = look.href;
      Object.assign(look, PLAIN);
      look.href = href;
      return;
    }
    case 1: look.bold = true; return;
    case 2: look.faint = true; return;
    case 3: look.italic = true; return;
    case 7: look.inverse = true; return;
    case 8: look.hidden = true; return;
    case 9: look.strike = true; return;
    case 21: look.underline = true; return;
    case 22: look.bold = look.faint = false; return;
    case 23: look.italic = false; return;
    case 24: look.underline = false; return;
    case 27: look.inverse = false; return;
    case 28: look.hidden = false; return;
    case 29: look.strike = false; return;
    case 39: look.fg = null; return;
    case 49: look.bg = null; return;
  }
  if (code >= 30 && code <= 37) look.fg = code - 30;
  else if (code >= 40 && code <= 47) look.bg = code - 40;
  else if (code >= 90 && code <= 97) look.fg = code - 82;
  else if (code >= 100 && code <= 107) look.bg = code - 92;
}

/** "#rrggbb" of an extended colour; indexes below 16 belong to the theme and give "". */
export function hex(color: number | string | null): string {
  if (typeof color === "string") return color;
  if (color === null || color < 16) return "";
  const two = (n: number) => n.toString(16).padStart(2, "0");
  if (color >= 232) return "#" + two((color - 232) * 10 + 8).repeat(3);
  const n = color - 16;
  const level = (v: number) => two(v === 0 ? 0 : v * 40 + 55);
  return "#" + level(Math.floor(n / 36)) + level(Math.floor(n / 6) % 6) + level(n % 6);
}
