// The tooltip of a cell: what it is, and for a failure the first line that tells why.
import type { Cell } from "../shell/data.ts";
import { bad } from "../shell/look.tsx";
import { describe } from "./grid.ts";
import { failureOf } from "./panel.tsx";

const WAIT_MS = 150;
const lines = new Map<string, string>(); // by task and run
let shown: HTMLElement | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let tick: ReturnType<typeof setInterval> | undefined;
let at: HTMLElement | null = null;

export function hover(cell: HTMLElement | null, c: Cell | null): void {
  if (cell === at) return;
  hideTip();
  if (!cell || !c) return;
  at = cell;
  show(cell, c);
  if (c.state === "running") tick = setInterval(() => show(cell, c), 1000);
  if (bad(c.state) && c.run >= 0 && !lines.has(c.id + c.run)) timer = setTimeout(() => void load(cell, c), WAIT_MS);
}

async function load(cell: HTMLElement, c: Cell): Promise<void> {
  try {
    const found = await failureOf(c.id, c.run);
    if (found.reading) return;
    const l = found.lines[0];
    lines.set(c.id + c.run, l ? [l.test, l.message].filter(Boolean).join(": ") : "");
    if (at === cell) show(cell, c);
  } catch {
    // Without it the tooltip still says what the cell is.
  }
}

function show(cell: HTMLElement, c: Cell): void {
  shown?.remove();
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.textContent = describe(c);
  const line = lines.get(c.id + c.run);
  if (line) {
    const p = document.createElement("p");
    p.className = "mono tip-line";
    p.textContent = line.slice(0, 300);
    tip.append(p);
  }
  document.body.append(tip);
  shown = tip;
  const r = cell.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(r.left, innerWidth - own.width - 6))}px`;
  tip.style.top = `${r.bottom + own.height + 12 < innerHeight ? r.bottom + 6 : r.top - own.height - 6}px`;
}

export function hideTip(): void {
  shown?.remove();
  shown = undefined;
  at = null;
  clearTimeout(timer);
  clearInterval(tick);
}
