// Puts the rows of a trace into the lines of the waterfall: chosen by words, under their kinds or not.
import type { State } from "../shell/data.ts";
import { duration } from "../shell/time.ts";
import type { Bar, Row, Step, Trace } from "./data.ts";

export interface Line {
  key: string;
  row?: Row; // none: the line is a kind
  name: string;
  rows: Row[]; // of a kind
  from: number;
  to: number;
  critical: boolean;
  shut: boolean;
}

export interface Choice {
  text: string;
  critical: boolean; // only what is on the critical path
  grouped: boolean;
  shut: ReadonlySet<string>; // kinds whose rows are not shown
}

/** How a row stands, in the words of all pages. */
export function stateOf(r: Row): State {
  if (r.state === "completed") return "passed";
  if (r.state === "exception" && r.bars.some((b) => b.result === "canceled")) return "cancelled";
  return r.state as State;
}

const begin = (r: Row): number => (r.bars.length ? Math.min(...r.bars.map((b) => b.from)) : 0);
const end = (r: Row): number => (r.bars.length ? Math.max(...r.bars.map((b) => b.to)) : 0);

function matches(r: Row, words: string[]): boolean {
  if (words.length === 0) return true;
  const hay = `${r.name} ${r.kind} ${r.queue ?? ""} ${r.state} ${r.id} ${r.bars.map((b) => `${b.why ?? ""} ${b.text ?? ""}`).join(" ")}`.toLowerCase();
  return words.every((w) => hay.includes(w));
}

/** The lines of a trace, the first thing first; kinds stand in the order of their first task. */
export function linesOf(t: Trace, c: Choice): Line[] {
  const words = c.text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = t.rows.filter((r) => (!c.critical || r.critical) && matches(r, words));
  const line = (r: Row): Line => ({ key: r.id, row: r, name: r.name, rows: [], from: begin(r), to: end(r), critical: r.critical === true, shut: false });
  if (!c.grouped) return rows.map(line);
  const kinds = new Map<string, Row[]>();
  for (const r of rows) {
    const kind = r.kind || "no kind";
    const list = kinds.get(kind);
    if (list) list.push(r);
    else kinds.set(kind, [r]);
  }
  const out: Line[] = [];
  for (const [kind, list] of kinds) {
    const shut = c.shut.has(kind);
    let from = Infinity;
    let to = 0;
    for (const r of list) {
      from = Math.min(from, begin(r));
      to = Math.max(to, end(r));
    }
    out.push({ key: `kind ${kind}`, name: kind, rows: list, from, to, critical: list.some((r) => r.critical), shut });
    if (!shut) for (const r of list) out.push(line(r));
  }
  return out;
}

const size = (n: number): string => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} KB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`);

/** What a time was spent with, in words. */
export function sentence(b: Bar): string {
  const took = duration(b.to - b.from);
  switch (b.what) {
    case "needs":
      return b.open ? `has waited ${took} for tasks: ${b.text}` : `${took} until it could run: ${b.text}`;
    case "worker":
      return b.open ? `has waited ${took} for a worker: ${b.text}` : `${took} for a worker: ${b.text}`;
    case "run": {
      const on = b.worker ? ` on ${b.worker}` : "";
      if (b.open) return `run ${b.run} has been at work for ${took}${on}`;
      return `run ${b.run} took ${took}${on}${b.result && b.result !== "completed" ? `, ended as ${b.result}` : ""}`;
    }
    case "artifacts":
      return `stored ${b.artifacts} ${b.artifacts === 1 ? "artifact" : "artifacts"}, ${size(b.bytes ?? 0)}, within ${took}`;
  }
  return (b.open ? `has taken ${took} so far` : `took ${took}`) + (b.text ? `: ${b.text}` : "");
}

/** The steps of the critical path by the row they belong to. */
export function stepsByRow(t: Trace): Map<string, Step[]> {
  const out = new Map<string, Step[]>();
  for (const s of t.critical) {
    const key = s.task ?? (s.what === "report" ? (t.rows.find((r) => r.what === "report" && r.critical)?.id ?? "") : s.what);
    const list = out.get(key);
    if (list) list.push(s);
    else out.set(key, [s]);
  }
  return out;
}
