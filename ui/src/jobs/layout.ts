// The lines of a push's grid, by arithmetic: every part has a width that follows from its text, so that where lines
// break is known without asking the browser, and only the lines in view need to be in the page.
import type { Cell, State } from "../shell/data.ts";
import { bad } from "../shell/look.tsx";
import { matches, settled, type Filter, type Row } from "./filter.ts";

// Groups up to this size show every cell; larger ones show what a person must look at, and counts.
export const OPEN_GROUP = 24;
// Up to so many jobs that could be added are all shown, however many are of one group.
export const OPEN_GHOSTS = 400;

export type Item =
  | { kind: "cell"; cell: Cell; group: string; w: number; x: number }
  | { kind: "open"; group: string; text: string; title: string; w: number; x: number }
  | { kind: "more"; group: string; state: State | "ghost"; n: number; w: number; x: number }
  | { kind: "close"; group: string; text: string; w: number; x: number };

export interface Line {
  row: number; // of platforms
  platform: string;
  head: boolean; // the first of its row
  items: Item[];
}

export interface Metrics {
  ch: number; // width of a character
  width: number; // of a line's part for cells
  own: boolean; // platforms have lines of their own
}

export interface Options {
  filter: Filter;
  everything: boolean; // all groups are open
  expanded: Set<string>; // groups that somebody opened
  closed: Set<string>; // or closed
  selected: string;
  chosen: (ghost: string) => boolean; // of what does not exist yet
  ghosts: number; // how many of these there are
}

export interface Layout {
  lines: Line[];
  cells: Map<string, number>; // line by task id
  order: Cell[]; // drawn as cells, in reading order
  columns: number; // most cells of a line
  passing: number; // tasks that pass the filter
  folded: Set<string>; // groups of which some are only counted
}

const CELL = 12; // padding, margin and border of a cell
const STAR = 10;
const MORE = 14;

export function cellWidth(c: Cell, ch: number): number {
  return c.symbol.length * ch + CELL + (c.runs > 1 ? String(c.runs).length * 6 : 0) + (c.said && c.said.class > 1 ? STAR : 0);
}

/** Whether a large group that is folded shows the cell. */
export const stays = (c: Cell, selected: string): boolean => (bad(c.state) && !settled(c)) || c.id === selected;

class Filler {
  readonly lines: Line[] = [];
  private line!: Line;
  private x = 0;
  private readonly m: Metrics;
  constructor(m: Metrics) {
    this.m = m;
  }
  row(row: number, platform: string): void {
    this.begin(row, platform, true);
    if (this.m.own) this.begin(row, platform, false);
  }
  private begin(row: number, platform: string, head: boolean): void {
    this.line = { row, platform, head, items: [] };
    this.lines.push(this.line);
    this.x = 0;
  }
  add(item: Item, keep: number): void {
    if (this.x > 0 && this.x + item.w + keep > this.m.width) this.begin(this.line.row, this.line.platform, false);
    item.x = this.x;
    this.x += item.w;
    this.line.items.push(item);
  }
}

const MORE_ORDER: (State | "ghost")[] = ["failed", "exception", "running", "pending", "unscheduled", "passed", "cancelled", "retried", "ghost"];

export function layOut(rows: Row[], o: Options, m: Metrics): Layout {
  const fill = new Filler(m);
  const order: Cell[] = [];
  const folded = new Set<string>();
  let passing = 0;
  let row = 0;
  for (const r of rows) {
    let begun = false;
    for (const g of r.groups) {
      const cells = g.cells.filter((c) => matches(c, o.filter));
      if (cells.length === 0) continue;
      if (!begun) fill.row(row++, r.platform);
      begun = true;
      passing += cells.length;
      const alone = g.symbol === "?";
      const ghosts = cells.reduce((n, c) => n + (c.ghost ? 1 : 0), 0);
      const wanted = !o.closed.has(g.key) && (o.everything || o.expanded.has(g.key));
      const open = wanted || (!o.closed.has(g.key) && cells.length - ghosts <= OPEN_GROUP);
      const ghostsOpen = wanted || (!o.closed.has(g.key) && (ghosts <= OPEN_GROUP || o.ghosts <= OPEN_GHOSTS));
      if (!alone) {
        const title = g.name ? `${g.name}: ${cells.length} tasks` : `${cells.length} tasks`;
        fill.add({ kind: "open", group: g.key, text: g.symbol, title, w: (g.symbol.length + 1) * m.ch + 4, x: 0 }, 40);
      }
      const rest = new Map<State | "ghost", number>();
      for (const c of cells) {
        const kind = c.ghost ? "ghost" : c.state;
        if (c.ghost ? ghostsOpen || o.chosen(c.id) : open || stays(c, o.selected)) {
          order.push(c);
          fill.add({ kind: "cell", cell: c, group: g.key, w: cellWidth(c, m.ch), x: 0 }, 0);
        } else rest.set(kind, (rest.get(kind) ?? 0) + 1);
      }
      for (const state of MORE_ORDER) {
        const n = rest.get(state);
        if (n) folded.add(g.key);
        if (n) fill.add({ kind: "more", group: g.key, state, n, w: (String(n).length + 1) * m.ch + MORE + 14, x: 0 }, 0);
      }
      const text = (alone ? "" : ")") + (g.tier > 1 ? ` tier ${g.tier}` : "");
      fill.add({ kind: "close", group: g.key, text, w: text.length * m.ch + 9, x: 0 }, 0);
    }
  }
  const at = new Map<string, number>();
  let columns = 0;
  fill.lines.forEach((line, i) => {
    columns = Math.max(columns, line.items.filter((it) => it.kind !== "close").length);
    for (const it of line.items) if (it.kind === "cell") at.set(it.cell.id, i);
  });
  return { lines: fill.lines, cells: at, order, columns: columns + 1, passing, folded };
}

/** What a line shows, so that one that is the same need not be drawn again. */
export const signature = (l: Line): string =>
  l.platform + (l.head ? "^" : "") + l.items.map((i) => (i.kind === "cell" ? `${i.cell.id}${i.w}` : i.kind === "more" ? `+${i.n}${i.state}${i.group}` : i.kind + i.text)).join(" ");

/** The cell of another line nearest to one, looking upwards or downwards among what exists, or what does not; undefined where there is none. */
export function beside(l: Layout, from: string, by: number, ghosts = false): Cell | undefined {
  const at = l.cells.get(from);
  if (at === undefined) return undefined;
  const here = l.lines[at]!.items.find((i) => i.kind === "cell" && i.cell.id === from)!;
  for (let i = at + by; i >= 0 && i < l.lines.length; i += by) {
    let best: Item | undefined;
    for (const it of l.lines[i]!.items) {
      if (it.kind === "cell" && (it.cell.ghost ?? false) === ghosts && (!best || Math.abs(it.x + it.w / 2 - here.x - here.w / 2) < Math.abs(best.x + best.w / 2 - here.x - here.w / 2))) best = it;
    }
    if (best?.kind === "cell") return best.cell;
  }
  return undefined;
}
