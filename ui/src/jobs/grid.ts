// The job grid of one push: plain inline boxes, one listener, drawn by hand. Rows are drawn anew
// when their arrangement changes; a task that only changes state touches its own cell.
import type { Cell, State } from "../shell/data.ts";
import { WORD, bad } from "../shell/look.tsx";
import { duration } from "../shell/time.ts";
import { arrange, count, matches, type Filter, type Group } from "./filter.ts";

// Groups up to this size show every cell; larger ones show what a person must look at and counts.
const OPEN_GROUP = 24;

export interface GridEvents {
  select(id: string): void;
  open(id: string): void;
}

export class JobGrid {
  readonly box: HTMLElement;
  private cells = new Map<string, Cell>();
  private filter: Filter;
  private selected = "";
  private everything = false;
  private readonly expanded = new Set<string>();
  private readonly drawn = new Map<string, HTMLElement>(); // by task id

  constructor(box: HTMLElement, filter: Filter, events: GridEvents) {
    this.box = box;
    this.filter = filter;
    box.classList.add("grid");
    box.setAttribute("role", "grid");
    box.addEventListener("click", (e) => {
      const target = (e.target as Element).closest<HTMLElement>("[data-id], [data-group]");
      if (target?.dataset["id"]) events.select(target.dataset["id"]);
      else if (target?.dataset["group"]) this.toggle(target.dataset["group"]);
    });
    box.addEventListener("auxclick", (e) => {
      const id = (e.target as Element).closest<HTMLElement>("[data-id]")?.dataset["id"];
      if (e.button === 1 && id) events.open(id);
    });
    box.addEventListener("mouseover", (e) => {
      const cell = (e.target as Element).closest<HTMLElement>("[data-id]");
      if (cell) this.tip(cell);
    });
    box.addEventListener("mouseleave", hideTip);
  }

  set(cells: Iterable<Cell>): void {
    this.cells = new Map([...cells].map((c) => [c.id, c]));
    this.draw();
  }

  show(filter: Filter, everything: boolean): void {
    this.filter = filter;
    this.everything = everything;
    this.draw();
  }

  /** Shows that tasks moved; the cells were changed by the caller. */
  moved(cells: Cell[]): void {
    // Where a cell comes, goes or is only counted, the arrangement changes: once for all of them.
    if (cells.some((c) => !this.drawn.has(c.id) || !matches(c, this.filter))) {
      this.draw();
      return;
    }
    for (const c of cells) paint(this.drawn.get(c.id)!, c, c.id === this.selected);
  }

  select(id: string): void {
    const before = this.drawn.get(this.selected);
    const was = this.cells.get(this.selected);
    this.selected = this.cells.has(id) ? id : "";
    if (before && was) paint(before, was, false);
    const now = this.cells.get(this.selected);
    if (!now) return;
    if (!this.drawn.has(id)) {
      this.expanded.add(groupKey(now));
      this.draw();
    }
    const cell = this.drawn.get(id);
    if (!cell) return;
    paint(cell, now, true);
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (this.box.contains(document.activeElement) || document.activeElement === document.body) cell.focus({ preventScroll: true });
  }

  /** The tasks that are drawn as cells, in reading order. */
  order(): string[] {
    return [...this.box.querySelectorAll<HTMLElement>("[data-id]")].map((e) => e.dataset["id"]!);
  }

  /** All tasks that pass the filter, in reading order, drawn as cells or not. */
  shown(): Cell[] {
    return arrange(this.visible()).flatMap((r) => r.groups.flatMap((g) => g.cells));
  }

  element(id: string): HTMLElement | undefined {
    return this.drawn.get(id);
  }

  private *visible(): Iterable<Cell> {
    for (const c of this.cells.values()) if (matches(c, this.filter)) yield c;
  }

  private stays(c: Cell): boolean {
    return bad(c.state) || c.id === this.selected;
  }

  private toggle(key: string): void {
    if (!this.expanded.delete(key)) this.expanded.add(key);
    this.draw();
  }

  private draw(): void {
    hideTip();
    const focused = (document.activeElement as HTMLElement | null)?.dataset["id"];
    this.drawn.clear();
    const rows = arrange(this.visible());
    this.box.setAttribute("aria-rowcount", String(rows.length));
    this.box.replaceChildren(
      ...rows.map((row, i) => {
        const line = make("div", "g-row");
        line.setAttribute("role", "row");
        line.setAttribute("aria-rowindex", String(i + 1));
        const name = make("span", "g-plat", row.platform);
        name.setAttribute("role", "rowheader");
        name.title = row.platform;
        const cells = make("div", "g-cells");
        for (const g of row.groups) cells.append(this.group(row.platform, g), " ");
        line.append(name, cells);
        return line;
      }),
    );
    if (rows.length === 0 && this.cells.size > 0) this.box.append(make("p", "muted small", `None of ${this.cells.size} tasks passes the filter.`));
    const entry = this.drawn.get(this.selected) ?? this.box.querySelector<HTMLElement>("[data-id]");
    if (entry) entry.tabIndex = 0;
    if (focused) this.drawn.get(focused)?.focus({ preventScroll: true });
  }

  private group(platform: string, g: Group): HTMLElement {
    const box = make("span", "g-group");
    const key = `${platform}|${g.key}`;
    const all = this.everything || this.expanded.has(key) || g.cells.length <= OPEN_GROUP;
    const alone = g.symbol === "?";
    if (!alone) {
      const symbol = make("span", "g-sym", g.symbol);
      symbol.dataset["group"] = key;
      symbol.title = g.name ? `${g.name}: ${g.cells.length} tasks` : `${g.cells.length} tasks`;
      box.append(symbol, "(");
    }
    const cells = all ? g.cells : g.cells.filter((c) => this.stays(c));
    for (const c of cells) {
      const cell = make("b", "");
      paint(cell, c, c.id === this.selected);
      this.drawn.set(c.id, cell);
      box.append(cell, "\u200b"); // a place to break the line, without width
    }
    if (!all) box.append(...this.rest(key, g.cells.filter((c) => !this.stays(c))));
    if (!alone) box.append(")");
    if (g.tier > 1) box.append(make("span", "g-tier", ` tier ${g.tier}`));
    return box;
  }

  // rest counts by state what a large group does not show.
  private rest(key: string, cells: Cell[]): HTMLElement[] {
    return Object.entries(count(cells)).map(([state, n]) => {
      const more = make("span", `g-more st-${state}`, `+${n} ${WORD[state as State]}`);
      more.dataset["group"] = key;
      return more;
    });
  }

  private tip(cell: HTMLElement): void {
    const c = this.cells.get(cell.dataset["id"]!);
    if (c) showTip(cell, describe(c));
  }
}

const groupKey = (c: Cell): string => `${c.platform}|${c.group}|${c.tier}`;

export function describe(c: Cell): string {
  const took = c.started ? duration((c.ended || Date.now()) - c.started) : "";
  return [c.name, WORD[c.state], took, c.runs > 1 ? `run ${c.runs} of ${c.runs}` : ""].filter(Boolean).join(" · ");
}

function paint(cell: HTMLElement, c: Cell, selected: boolean): void {
  cell.className = `c ${c.state}${selected ? " sel" : ""}`;
  cell.dataset["id"] = c.id;
  cell.tabIndex = selected ? 0 : -1;
  cell.setAttribute("role", "gridcell");
  cell.setAttribute("aria-label", `${c.name}, ${WORD[c.state]}, ${c.platform}`);
  cell.setAttribute("aria-selected", String(selected));
  cell.textContent = c.symbol;
  if (c.runs > 1) cell.append(make("sup", "", String(c.runs)));
}

function make(tag: string, name: string, text = ""): HTMLElement {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text) e.textContent = text;
  return e;
}

function showTip(at: HTMLElement, text: string): void {
  hideTip();
  const tip = make("div", "tip", text);
  tip.id = "tip";
  document.body.append(tip);
  const r = at.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(r.left, innerWidth - own.width - 6))}px`;
  tip.style.top = `${r.bottom + own.height + 12 < innerHeight ? r.bottom + 6 : r.top - own.height - 6}px`;
}

function hideTip(): void {
  document.getElementById("tip")?.remove();
}
