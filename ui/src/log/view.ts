// The lines of a log on the screen.
import { Rows } from "../shell/rows.ts";
import { hex, parse, type Look } from "./ansi.ts";
import type { Hit, LogBuffer } from "./buffer.ts";

const SHOWN_CHARS = 4000; // of one line; the rest is in the raw file

export class LogView {
  readonly rows: Rows;
  range: [number, number] | null = null;
  hits = new Map<number, Hit[]>();
  now: Hit | null = null;
  private readonly buffer: LogBuffer;

  constructor(box: HTMLElement, buffer: LogBuffer, onScroll: () => void) {
    this.buffer = buffer;
    this.rows = new Rows(box, { height: 18, overscan: 30, draw: (i) => this.line(i), scrolled: onScroll }, "log-space", "log-lines");
  }

  /** Shows what came since the last call. */
  update(follow: boolean): void {
    const gutter = `${Math.max(4, String(this.buffer.lines.length).length) + 2}ch`;
    if (this.rows.box.style.getPropertyValue("--gutter") !== gutter) this.rows.box.style.setProperty("--gutter", gutter);
    this.rows.set(this.buffer.lines.length);
    if (follow) this.rows.toEnd();
  }

  private line(i: number): HTMLElement {
    const line = document.createElement("div");
    line.className = this.range && i >= this.range[0] && i <= this.range[1] ? "ln in" : "ln";
    const number = document.createElement("a");
    number.href = `#L${i + 1}`;
    number.dataset["n"] = String(i);
    number.textContent = String(i + 1);
    const text = document.createElement("span");
    this.fill(text, i);
    line.append(number, text);
    return line;
  }

  private fill(box: HTMLElement, i: number): void {
    let raw = this.buffer.lines[i] ?? "";
    const over = raw.length - SHOWN_CHARS * 4;
    if (over > 0) raw = raw.slice(0, SHOWN_CHARS * 4);
    const hits = this.hits.get(i) ?? [];
    let at = 0;
    for (const span of parse(raw, this.buffer.look(i))) {
      const room = SHOWN_CHARS - at;
      if (room <= 0) break;
      const text = span.text.slice(0, room);
      append(box, text, span.look, at, hits, this.now);
      at += text.length;
    }
    if (over > 0 || at >= SHOWN_CHARS) {
      const cut = document.createElement("span");
      cut.className = "cut";
      cut.textContent = " … the line goes on: see the raw log";
      box.append(cut);
    }
  }
}

// append adds one span of text, cut at the edges of hits.
function append(box: HTMLElement, text: string, look: Look, at: number, hits: Hit[], now: Hit | null): void {
  const target = styled(look);
  let from = 0;
  for (const h of hits) {
    const a = Math.max(h.from - at, from);
    const b = Math.min(h.to - at, text.length);
    if (b <= a) continue;
    if (a > from) target.append(text.slice(from, a));
    const mark = document.createElement("mark");
    if (now && h.line === now.line && h.from === now.from) mark.className = "now";
    mark.textContent = text.slice(a, b);
    target.append(mark);
    from = b;
  }
  target.append(text.slice(from));
  box.append(target);
}

function styled(look: Look): HTMLElement {
  const e = document.createElement(look.href ? "a" : "span");
  if (e instanceof HTMLAnchorElement) {
    e.href = look.href;
    e.rel = "noopener noreferrer nofollow";
    e.target = "_blank";
  }
  let { fg, bg } = look;
  if (look.inverse) {
    [fg, bg] = [bg ?? 15, fg ?? 0];
    if (typeof bg === "number" && bg === 0 && typeof fg === "number" && fg === 15) fg = null;
  }
  const names: string[] = [];
  if (look.bold) names.push("a-b");
  if (look.faint) names.push("a-f");
  if (look.italic) names.push("a-i");
  if (look.underline) names.push("a-u");
  if (look.strike) names.push("a-s");
  if (bg !== null) {
    if (typeof bg === "number" && bg < 16) names.push(`g${bg}`);
    else {
      e.style.background = hex(bg);
      e.style.color = light(hex(bg)) ? "#1d2226" : "#fff";
    }
  }
  // On a background of the log's own the text takes the colour that can be read there.
  if (fg !== null && bg === null) {
    if (typeof fg === "number" && fg < 16) names.push(`f${fg}`);
    else {
      names.push("fx");
      e.style.setProperty("--fx", hex(fg));
    }
  }
  if (look.hidden) e.style.visibility = "hidden";
  if (names.length > 0) e.className = names.join(" ");
  return e;
}

function light(color: string): boolean {
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(color.slice(i, i + 2), 16)) as [number, number, number];
  return r * 0.299 + g * 0.587 + b * 0.114 > 140;
}
