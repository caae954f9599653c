// The lines of a log on the screen.
import { duration, bytes } from "../shell/time.ts";
import { hex, parse, type Look } from "./ansi.ts";
import type { RowMap } from "./place.ts";
import type { Hit } from "./search.ts";
import type { Entry, LogStore, Section } from "./store.ts";
import { Window } from "./window.ts";

const SHOWN_CHARS = 4000; // of one line
export const ROW = 18; // pixels

/** Times before lines: as they are written, left out, or the time since the line before. */
export type Times = "written" | "hidden" | "elapsed";

export const STAMP = /^\[(?:[\w:.-]+ )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\] ?/;
const MARKER = /^(##\[group\]|::group::)/;

export class LogView {
  readonly window: Window;
  range: [number, number] | null = null;
  hits = new Map<number, Hit[]>();
  now: Hit | null = null;
  times: Times = "written";
  errors = new Set<number>();
  sections = new Map<number, { section: Section; folded: boolean }>();
  private readonly store: LogStore;
  private readonly rows: RowMap;

  constructor(box: HTMLElement, store: LogStore, rows: RowMap, onScroll: () => void) {
    this.store = store;
    this.rows = rows;
    this.window = new Window(box, {
      height: ROW, scrolled: onScroll, key: (row) => rows.line(row), draw: (row) => this.line(rows.line(row)),
      viewed: (first, last) => {
        if (first < last) store.want(rows.line(first), rows.line(last - 1) + 1);
      },
    });
  }

  /** Shows what came since the last call. */
  update(follow: boolean): void {
    const gutter = `${Math.max(4, String(this.store.total).length) + 2}ch`;
    if (this.window.box.style.getPropertyValue("--gutter") !== gutter) this.window.box.style.setProperty("--gutter", gutter);
    this.rows.grow(this.store.total);
    this.window.set(this.rows.rows);
    if (follow) this.window.toEnd();
  }

  private line(i: number): { element: HTMLElement; complete: boolean } {
    const line = document.createElement("div");
    const inside = this.range !== null && i >= this.range[0] && i <= this.range[1];
    line.className = "ln" + (inside ? " in" : "") + (this.errors.has(i) ? " err" : "");
    const number = document.createElement("a");
    number.href = `#L${i + 1}`;
    number.dataset["n"] = String(i);
    number.textContent = String(i + 1);
    const text = document.createElement("span");
    const entry = this.store.entry(i);
    line.append(number);
    const begins = this.sections.get(i);
    if (begins) line.append(twisty(i, begins.section, begins.folded));
    line.append(text);
    if (entry) this.fill(text, i, entry, begins !== undefined);
    if (entry && begins) {
      text.classList.add("head");
      line.append(about(begins.section, begins.folded));
    }
    // The last line of a log that grows may grow too.
    return { element: line, complete: entry !== undefined && (this.store.done || i < this.store.total - 1) };
  }

  private fill(box: HTMLElement, i: number, entry: Entry, head: boolean): void {
    let raw = entry.raw;
    const over = raw.length > SHOWN_CHARS * 4 || entry.whole > 0;
    if (over) raw = raw.slice(0, SHOWN_CHARS * 4);
    let at = 0;
    const stamp = this.times !== "written" || head ? STAMP.exec(raw) : null;
    if (stamp && this.times !== "written") {
      raw = raw.slice(stamp[0].length);
      at = stamp[0].length;
      if (this.times === "elapsed") box.append(this.gap(i, Date.parse(stamp[1]!)));
    }
    if (head) {
      const shift = this.times === "written" ? (stamp?.[0].length ?? 0) : 0;
      const marker = MARKER.exec(raw.slice(shift));
      if (marker) {
        box.append(raw.slice(0, shift));
        raw = raw.slice(shift + marker[0].length);
        at += shift + marker[0].length;
      }
    }
    const hits = this.hits.get(i) ?? [];
    const most = at + SHOWN_CHARS;
    for (const span of parse(raw, { ...entry.look })) {
      if (at >= most) break;
      const text = span.text.slice(0, most - at);
      append(box, text, span.look, at, hits, this.now);
      at += text.length;
    }
    if (over || at >= most) box.append(cut(i, entry.whole || entry.raw.length));
  }

  // gap tells how much later a line was written than the one before.
  private gap(i: number, at: number): HTMLElement {
    const e = document.createElement("i");
    e.className = "gap";
    const before = STAMP.exec(this.store.entry(i - 1)?.raw ?? "");
    const passed = before ? at - Date.parse(before[1]!) : 0;
    if (passed >= 100) e.textContent = "+" + duration(passed);
    if (passed >= 10_000) e.classList.add("long");
    return e;
  }
}

function twisty(i: number, s: Section, folded: boolean): HTMLElement {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "fold";
  b.dataset["fold"] = String(i);
  b.setAttribute("aria-expanded", String(!folded));
  b.setAttribute("aria-label", `${folded ? "Unfold" : "Fold"} ${s.title}`);
  b.textContent = folded ? "▸" : "▾";
  return b;
}

// about tells how long a section took and, when it is folded, how much of it is hidden.
function about(s: Section, folded: boolean): HTMLElement {
  const e = document.createElement("i");
  e.className = "took" + (s.failed ? " bad" : "");
  const parts: string[] = [];
  if (s.failed) parts.push("failed");
  if (folded) parts.push(`${(s.to - s.from).toLocaleString()} lines`);
  if (s.ended > s.began && s.began > 0) parts.push(duration(s.ended - s.began));
  e.textContent = parts.join(", ");
  return e;
}

function cut(i: number, size: number): HTMLElement {
  const e = document.createElement("span");
  e.className = "cut";
  e.textContent = ` … the line has ${bytes(size)} `;
  const b = document.createElement("button");
  b.type = "button";
  b.className = "link";
  b.dataset["whole"] = String(i);
  b.textContent = "show all";
  e.append(b);
  return e;
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
