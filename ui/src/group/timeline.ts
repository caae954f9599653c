import type { Cell } from "../shell/data.ts";

export interface Span {
  from: number;
  to: number;
  length: number; // at least one second
}

/** From the first task scheduled to the last one ended, or to now while one is open. */
export function span(cells: Cell[], now: number): Span {
  let from = Infinity;
  let to = 0;
  for (const c of cells) {
    if (c.scheduled === 0) continue;
    from = Math.min(from, c.scheduled);
    to = Math.max(to, c.ended || now);
  }
  if (from === Infinity) from = to = now;
  return { from, to, length: Math.max(1000, to - from) };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400].map((s) => s * 1000);

/** Marks of a time axis: at most seven, at round distances, from 0. */
export function axis(length: number): number[] {
  const step = STEPS.find((s) => length / s <= 6) ?? Math.ceil(length / 6 / 86_400_000) * 86_400_000;
  const out: number[] = [];
  for (let t = 0; t <= length; t += step) out.push(t);
  return out;
}
