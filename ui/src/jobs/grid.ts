// The job grid of one push: only the lines in view are in the page. They are plain inline boxes with one listener; a task
// that changes its state touches its own cell.
import { bootOf, type Cell } from "../shell/data.ts";
import { WORD } from "../shell/look.tsx";
import { duration } from "../shell/time.ts";
import { arrange, classOf, matches, settled, type Filter, type Row } from "./filter.ts";
import { beside, cellWidth, layOut, signature, stays, type Item, type Layout, type Line } from "./layout.ts";

const OVERSCAN = 8; // lines
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const RELAY_MS = 150; // between two arrangements of the same push

export const CLASS_WORD: Record<number, string> = {
  1: "not classified", 2: "fixed by commit", 3: "expected fail", 4: "intermittent", 5: "infra", 6: "new failure not classified", 7: "autoclassified intermittent",
  8: "intermittent needs bug id",
};

export interface GridEvents {
  select(id: string, e: MouseEvent): void;
  open(id: string): void;
  blank(): void;
  hover(cell: HTMLElement | null, c: Cell | null): void;
  dragged(ids: string[]): void;
  chosen(id: string): boolean; // of what does not exist yet
  choose(ids: string[]): void; // it, or not any more
}

/** Whether a task ended since somebody looked. */
export type Fresh = (c: Cell) => boolean;

export class JobGrid {
  readonly box: HTMLElement;
  layout: Layout = { lines: [], cells: new Map(), order: [], columns: 0, passing: 0, folded: new Set() };
  private rows: Row[] = [];
  private all = new Map<string, Cell>();
  private real: Cell[] = [];
  private ghosts: Cell[] = []; // what the push could run
  private at = ""; // the one of them that the keys are at
  private readonly chosen: (id: string) => boolean;
  private filter: Filter;
  private selected = "";
  private everything = false;
  private readonly pinned: (id: string) => boolean;
  private readonly fresh: Fresh;
  private readonly expanded = new Set<string>();
  private readonly closed = new Set<string>();
  private drawn = new Map<number, { line: HTMLElement; sig: string }>();
  private readonly cells = new Map<string, HTMLElement>(); // in the page, by task
  private width = 0;
  private ch = 0;
  private height = 24;
  private own = false;
  private relaying: ReturnType<typeof setTimeout> | undefined;
  private relaid = 0;
  private readonly note: HTMLElement;
  private readonly observer: ResizeObserver;

  constructor(box: HTMLElement, filter: Filter, events: GridEvents, pinned: (id: string) => boolean, fresh: Fresh) {
    this.box = box;
    this.filter = filter;
    this.pinned = pinned;
    this.fresh = fresh;
    this.chosen = (id) => events.chosen(id);
    box.className = "grid";
    box.replaceChildren();
    this.note = make("p", "muted small");
    box.after(this.note);
    this.listen(events);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(box);
    this.measure();
  }

  stop(): void {
    this.observer.disconnect();
    clearTimeout(this.relaying);
    this.note.remove();
    this.box.replaceChildren();
  }

  private listen(events: GridEvents): void {
    const of = (e: Event) => (e.target as Element).closest<HTMLElement>("[data-id], [data-group]");
    this.box.addEventListener("click", (e) => {
      const target = of(e);
      const id = target?.dataset["id"];
      if (id && this.all.get(id)?.ghost) this.choose(id, e.shiftKey, events);
      else if (id) events.select(id, e);
      else if (target?.dataset["group"]) this.toggle(target.dataset["group"]);
      else events.blank();
    });
    this.box.addEventListener("auxclick", (e) => {
      const id = of(e)?.dataset["id"];
      if (e.button === 1 && id && !this.all.get(id)?.ghost) events.open(id);
    });
    this.box.addEventListener("mouseover", (e) => {
      const cell = (e.target as Element).closest<HTMLElement>("[data-id]");
      events.hover(cell, cell ? this.all.get(cell.dataset["id"]!)! : null);
    });
    this.box.addEventListener("mouseleave", () => events.hover(null, null));
    this.box.addEventListener("keydown", (e) => this.walk(e, events));
    this.drag(events);
  }

  // walk is what keys do among the jobs that could be added.
  private walk(e: KeyboardEvent, events: GridEvents): void {
    const id = (e.target as HTMLElement).dataset["id"] ?? "";
    if (!this.all.get(id)?.ghost || e.ctrlKey || e.metaKey || e.altKey) return;
    const list = this.layout.order.filter((c) => c.ghost);
    const i = list.findIndex((c) => c.id === id);
    let next: Cell | undefined;
    switch (e.key) {
      case "ArrowRight": next = list[Math.min(list.length - 1, i + 1)]; break;
      case "ArrowLeft": next = list[Math.max(0, i - 1)]; break;
      case "ArrowDown": next = beside(this.layout, id, 1, true); break;
      case "ArrowUp": next = beside(this.layout, id, -1, true); break;
      case " ": case "x": case "Enter": this.choose(id, e.shiftKey, events); break;
      default: return;
    }
    e.preventDefault();
    e.stopPropagation();
    if (next) this.step(next.id);
  }

  private step(id: string): void {
    const before = this.at;
    this.at = id;
    this.repaint(before);
    this.reveal(id);
    this.repaint(id);
    this.cells.get(id)?.focus({ preventScroll: true });
  }

  /** Puts the cursor on the first job that could be added. */
  enter(): void {
    const first = this.layout.order.find((c) => c.ghost);
    if (first) this.step(first.id);
  }

  private choose(id: string, all: boolean, events: GridEvents): void {
    const ids = all && this.at ? this.between(this.at, id).filter((x) => this.all.get(x)?.ghost) : [];
    this.at = id;
    events.choose(ids.length > 1 ? ids : [id]);
  }

  /** Shows jobs that the push could run among its tasks; what exists by then is left out. */
  offer(ghosts: Cell[]): void {
    this.ghosts = ghosts;
    this.set(this.real);
  }

  // drag with ctrl held gathers the cells between where it begins and where it ends.
  private drag(events: GridEvents): void {
    let from = "";
    this.box.addEventListener("pointerdown", (e) => {
      from = (e.ctrlKey || e.metaKey) && e.button === 0 ? ((e.target as Element).closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "") : "";
      if (from) e.preventDefault(); // no text is marked
    });
    this.box.addEventListener("pointerup", (e) => {
      const to = (document.elementFromPoint(e.clientX, e.clientY) as Element | null)?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "";
      if (from && to && from !== to) {
        const ids = this.between(from, to);
        if (this.all.get(from)?.ghost) events.choose(ids.filter((id) => this.all.get(id)?.ghost));
        else events.dragged(ids.filter((id) => !this.all.get(id)?.ghost));
      }
      from = "";
    });
  }

  /** The tasks drawn between two, both included, in reading order. */
  between(a: string, b: string): string[] {
    const ids = this.layout.order.map((c) => c.id);
    const [i, j] = [ids.indexOf(a), ids.indexOf(b)].sort((x, y) => x - y) as [number, number];
    return i < 0 ? [] : ids.slice(i, j + 1);
  }

  private measure(): void {
    const probe = make("b", "c", "0".repeat(100));
    probe.style.cssText = "position:absolute;visibility:hidden;padding:0;border:0;margin:0";
    this.box.append(probe);
    this.ch = probe.getBoundingClientRect().width / 100 || 7.6;
    probe.remove();
    this.own = matchMedia("(max-width: 760px)").matches;
    this.height = this.own ? 30 : 24;
    this.width = this.box.clientWidth;
  }

  private resized(): void {
    if (this.box.clientWidth === this.width || this.box.clientWidth === 0) return;
    this.measure();
    this.lay();
  }

  set(cells: Iterable<Cell>): void {
    this.all = new Map();
    this.real = [...cells];
    for (const c of this.real) this.all.set(c.id, c);
    if (this.ghosts.length > 0) {
      const names = new Set(this.real.map((c) => c.name));
      for (const c of this.ghosts) if (!names.has(c.name)) this.all.set(c.id, c);
    }
    this.rows = arrange(this.all.values());
    this.lay();
  }

  show(filter: Filter, everything: boolean): void {
    if (everything !== this.everything) {
      this.expanded.clear();
      this.closed.clear();
    }
    this.filter = filter;
    this.everything = everything;
    this.lay();
  }

  /** Shows that tasks changed; the cells were changed by the caller. */
  moved(cells: Cell[]): void {
    let same = true;
    for (const c of cells) {
      const line = this.layout.cells.get(c.id);
      const item = line === undefined ? undefined : this.layout.lines[line]!.items.find((i) => i.kind === "cell" && i.cell === c);
      // A cell that comes, goes, is only counted or changes its width moves others.
      if (!item || item.w !== cellWidth(c, this.ch) || !this.keeps(c, item)) same = false;
      else this.repaint(c.id);
    }
    if (!same) this.relay();
  }

  private keeps(c: Cell, item: Item): boolean {
    if (!matches(c, this.filter)) return false;
    if (item.kind !== "cell" || stays(c, this.selected)) return true;
    return this.isOpen(item.group);
  }

  private isOpen(group: string): boolean {
    return !this.layout.folded.has(group);
  }

  // relay arranges anew, a little later and at most a few times a second.
  private relay(): void {
    if (this.relaying !== undefined) return;
    const wait = Math.max(0, this.relaid + RELAY_MS - performance.now());
    this.relaying = setTimeout(() => this.lay(), wait);
  }

  repaint(id: string): void {
    const cell = this.cells.get(id);
    const c = this.all.get(id);
    if (cell && c) this.paint(cell, c);
  }

  repaintAll(): void {
    for (const id of this.cells.keys()) this.repaint(id);
  }

  /** Marks a task as selected, and brings it into view. */
  select(id: string, reveal: boolean): void {
    const before = this.selected;
    this.selected = this.all.has(id) ? id : "";
    if (before === this.selected) return;
    const c = this.all.get(id);
    // What a folded group shows may have to change for either.
    if ((c && !this.layout.cells.has(id)) || (before && this.layout.cells.has(before) && !stays(this.all.get(before)!, ""))) this.lay();
    this.repaint(before);
    if (!c) return;
    if (reveal) this.reveal(id);
    this.repaint(id);
    // The one that let the tab key in gives way.
    for (const e of this.box.querySelectorAll<HTMLElement>('b.c[tabindex="0"]')) if (e.dataset["id"] !== id) e.tabIndex = -1;
    this.focus();
  }

  private focus(): void {
    const active = document.activeElement;
    if (active === document.body || active?.closest(".grid")) this.cells.get(this.selected)?.focus({ preventScroll: true });
  }

  reveal(id: string): void {
    const line = this.layout.cells.get(id);
    if (line === undefined) return;
    const top = this.box.getBoundingClientRect().top + line * this.height;
    const [from, to] = viewOf();
    if (top < from || top + this.height > to) scrollBy({ top: top - (from + to) / 2 + this.height / 2, behavior: "instant" });
    this.draw();
  }

  toggle(key: string): void {
    if (this.isOpen(key)) {
      this.expanded.delete(key);
      this.closed.add(key);
    } else {
      this.closed.delete(key);
      this.expanded.add(key);
    }
    this.lay();
  }

  /** Opens or closes the group of a task. */
  toggleOf(c: Cell): void {
    this.toggle(`${c.platform}|${c.group}|${c.tier}`);
  }

  private lay(): void {
    clearTimeout(this.relaying);
    this.relaying = undefined;
    this.relaid = performance.now();
    this.layout = layOut(
      this.rows,
      { filter: this.filter, everything: this.everything, expanded: this.expanded, closed: this.closed, selected: this.selected, chosen: this.chosen, ghosts: this.ghosts.length },
      { ch: this.ch, width: Math.max(120, this.own ? this.width : this.width - 162), own: this.own },
    );
    const { lines, columns, passing } = this.layout;
    this.box.style.height = `${lines.length * this.height}px`;
    if (lines.length > 0) {
      this.box.setAttribute("role", "grid");
      this.box.setAttribute("aria-label", this.box.dataset["name"] ?? "Tasks");
      this.box.setAttribute("aria-rowcount", String(lines.length));
      this.box.setAttribute("aria-colcount", String(columns));
    } else for (const a of ["role", "aria-label", "aria-rowcount", "aria-colcount", "aria-busy"]) this.box.removeAttribute(a);
    this.note.textContent = passing === 0 && this.all.size > 0 ? `None of ${this.all.size.toLocaleString()} tasks passes the filter.` : "";
    this.draw();
  }

  /** Draws the lines in view, and takes away the others. */
  draw(): void {
    const at = this.box.getBoundingClientRect();
    const lines = this.layout.lines;
    const first = Math.max(0, Math.floor(-at.top / this.height) - OVERSCAN);
    const last = Math.min(lines.length, Math.ceil((innerHeight - at.top) / this.height) + OVERSCAN);
    const focused = (document.activeElement as HTMLElement | null)?.dataset["id"];
    let lost = false;
    for (const [i, d] of this.drawn) {
      if (i >= first && i < last && signature(lines[i]!) === d.sig) continue;
      if (focused && d.line.querySelector(`[data-id="${focused}"]`)) lost = true;
      this.drop(i, d.line);
    }
    for (let i = first; i < last; i++) {
      if (this.drawn.has(i)) continue;
      const line = this.line(lines[i]!, i);
      this.drawn.set(i, { line, sig: signature(lines[i]!) });
      this.insert(i, line);
    }
    if (lines.length > 0) this.box.ariaBusy = this.drawn.size === 0 ? "true" : null;
    if (lost && focused) this.cells.get(focused)?.focus({ preventScroll: true });
    if (!this.cells.has(this.selected)) this.entry();
  }

  private insert(i: number, line: HTMLElement): void {
    for (const [j, d] of this.drawn) {
      if (j === i + 1) {
        d.line.before(line);
        return;
      }
    }
    const after = this.drawn.get(i - 1);
    if (after) after.line.after(line);
    else this.box.append(line);
  }

  // entry lets the tab key into a grid in which nothing is selected.
  private entry(): void {
    const first = this.box.querySelector<HTMLElement>("b.c");
    if (first && !this.box.querySelector('b.c[tabindex="0"]')) first.tabIndex = 0;
  }

  private drop(i: number, line: HTMLElement): void {
    for (const cell of line.querySelectorAll<HTMLElement>("b.c")) if (this.cells.get(cell.dataset["id"]!) === cell) this.cells.delete(cell.dataset["id"]!);
    line.remove();
    this.drawn.delete(i);
  }

  private line(l: Line, i: number): HTMLElement {
    const line = make("div", l.head ? "g-row head" : "g-row");
    line.setAttribute("role", "row");
    line.setAttribute("aria-rowindex", String(i + 1));
    line.style.top = `${i * this.height}px`;
    const name = make("span", "g-plat", l.head ? l.platform : "");
    name.setAttribute("role", "rowheader");
    name.setAttribute("aria-colindex", "1");
    if (l.head) name.title = l.platform;
    else name.setAttribute("aria-label", l.platform);
    const cells = make("div", "g-cells");
    cells.setAttribute("role", "presentation");
    let column = 1;
    for (const it of l.items) cells.append(this.item(it, it.kind === "close" ? 0 : ++column));
    line.append(name, cells);
    return line;
  }

  private item(it: Item, column: number): HTMLElement {
    switch (it.kind) {
      case "cell": {
        const cell = make("b", "");
        cell.setAttribute("role", "gridcell");
        cell.setAttribute("aria-colindex", String(column));
        this.paint(cell, it.cell);
        this.cells.set(it.cell.id, cell);
        return cell;
      }
      case "open": {
        const symbol = make("span", "g-sym", RIGHT_TO_LEFT.test(it.text) ? "(" : it.text + "(");
        if (RIGHT_TO_LEFT.test(it.text)) symbol.prepend(make("bdi", "", it.text));
        symbol.dataset["group"] = it.group;
        symbol.title = it.title;
        symbol.setAttribute("role", "gridcell");
        symbol.setAttribute("aria-colindex", String(column));
        symbol.setAttribute("aria-label", `Group ${it.text}, ${it.title}`);
        return symbol;
      }
      case "more": {
        const ghost = it.state === "ghost";
        const word = it.state === "ghost" ? "that could be added" : WORD[it.state];
        const more = make("span", ghost ? "g-more ghost" : `g-more st-${it.state}`, `+${it.n}`);
        if (!ghost) more.prepend(icon("st-" + it.state));
        more.dataset["group"] = it.group;
        more.dataset["n"] = String(it.n);
        more.dataset["state"] = it.state;
        more.title = `${it.n} ${word}: open the group`;
        more.setAttribute("role", "gridcell");
        more.setAttribute("aria-colindex", String(column));
        more.setAttribute("aria-label", `${it.n} more ${word}`);
        return more;
      }
      case "close":
        return make("span", "g-end", it.text);
    }
  }

  private paint(cell: HTMLElement, c: Cell): void {
    if (c.ghost) return this.paintGhost(cell, c);
    const selected = c.id === this.selected;
    const said = c.said && c.said.class > 1 ? (settled(c) ? " done" : " said") : "";
    cell.className = `c ${c.state}${said}${selected ? " sel" : ""}${this.pinned(c.id) ? " pin" : ""}${this.fresh(c) ? " fresh" : ""}`;
    cell.dataset["id"] = c.id;
    cell.tabIndex = selected ? 0 : -1;
    cell.setAttribute("aria-label", nameOf(c));
    cell.setAttribute("aria-selected", String(selected));
    write(cell, c.symbol);
    const mark = (c.runs > 1 ? String(c.runs) : "") + (said ? (c.said!.class === 7 ? "☆" : "★") : "");
    if (mark) cell.dataset["mark"] = mark;
    else delete cell.dataset["mark"];
  }

  private paintGhost(cell: HTMLElement, c: Cell): void {
    const chosen = this.chosen(c.id);
    cell.className = "c ghost" + (chosen ? " chosen" : "");
    cell.dataset["id"] = c.id;
    cell.tabIndex = c.id === this.at ? 0 : -1;
    cell.setAttribute("aria-label", `${c.name}, ${COULD}, ${c.platform}`);
    cell.setAttribute("aria-selected", String(chosen));
    write(cell, c.symbol);
  }
}

/** What can be said of a job that does not exist. */
export const COULD = "not scheduled on this push";

/** What a screen reader says of a cell. */
export const nameOf = (c: Cell): string => `${c.name}, ${WORD[c.state]}, ${CLASS_WORD[classOf(c)]}, ${c.platform}`;

export function describe(c: Cell): string {
  if (c.ghost) return `${c.name} · ${COULD}`;
  const took = c.started ? duration((c.ended || Date.now()) - c.started) : "";
  const said = c.said && c.said.class > 1 ? `${CLASS_WORD[c.said.class]}${c.said.bug ? ` (${c.said.bug})` : ""}` : "";
  return [c.name, WORD[c.state], took, c.runs > 1 ? `run ${c.runs} of ${c.runs}` : "", said].filter(Boolean).join(" · ");
}

/** The part of the window in which a cell can be seen: below the bars, above the panel. */
export function viewOf(): [number, number] {
  const dock = document.querySelector(".dock")?.getBoundingClientRect();
  return [160, Math.max(220, (dock ? dock.top : innerHeight) - 8)];
}

// write puts a symbol into its cell. One that is read from the right would take its neighbours along, to other places than
// the layout knows; the others, nearly all, do without a box of their own.
function write(cell: HTMLElement, symbol: string): void {
  cell.textContent = symbol;
  if (RIGHT_TO_LEFT.test(symbol)) cell.dir = "auto";
  else cell.removeAttribute("dir");
}

function make(tag: string, name: string, text = ""): HTMLElement {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text) e.textContent = text;
  return e;
}

function icon(name: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${bootOf().icons}#${name}`);
  svg.append(use);
  return svg;
}
