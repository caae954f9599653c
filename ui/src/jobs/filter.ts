// Which cells are shown, from the parameters of the URL. Names and meanings are Treeherder's
// (section 1.6 of the UI study). One default differs on purpose: tasks that wait for others are
// shown, because a small graph is easier to follow when all of it is there.
import type { Cell, Push, State } from "../shell/data.ts";

/** The words of resultStatus, by the state they stand for. */
const STATUS_WORDS: [string, State[]][] = [
  ["testfailed", ["failed"]],
  ["busted", ["failed"]],
  ["exception", ["exception"]],
  ["success", ["passed"]],
  ["retry", ["retried"]],
  ["usercancel", ["cancelled"]],
  ["superseded", []],
  ["running", ["running"]],
  ["pending", ["pending"]],
  ["unscheduled", ["unscheduled"]],
];

export const ALL_STATES: State[] = ["failed", "exception", "running", "pending", "unscheduled", "passed", "cancelled", "retried"];

export interface Filter {
  states: Set<State>;
  tiers: Set<number>;
  words: string[];
  fields: [string, string][];
}

const FIELDS = ["job_type_name", "job_type_symbol", "job_group_name", "job_group_symbol", "platform"];

export function parseFilter(params: URLSearchParams): Filter {
  const list = (name: string) => (params.get(name) ?? "").split(",").map((s) => s.trim()).filter(Boolean);
  const words = list("resultStatus");
  const states = new Set<State>(words.length === 0 ? ALL_STATES : STATUS_WORDS.filter(([w]) => words.includes(w)).flatMap(([, s]) => s));
  const tiers = new Set(list("tier").map(Number).filter((n) => n >= 1 && n <= 3));
  if (tiers.size === 0) for (const t of [1, 2]) tiers.add(t);
  const fields: [string, string][] = [];
  for (const f of FIELDS) {
    for (const v of [...params.getAll(f), ...params.getAll("filter-" + f)]) if (v !== "") fields.push([f, v.toLowerCase()]);
  }
  return { states, tiers, words: (params.get("searchStr") ?? "").toLowerCase().split(/[\s,]+/).filter(Boolean), fields };
}

/** The value of resultStatus for a set of states; null when it is the default. */
export function formatStates(states: Set<State>): string | null {
  if (ALL_STATES.every((s) => states.has(s))) return null;
  return STATUS_WORDS.filter(([, list]) => list.length > 0 && list.every((s) => states.has(s))).map(([w]) => w).join(",") || "none";
}

export function matches(c: Cell, f: Filter): boolean {
  if (!f.states.has(c.state) || !f.tiers.has(Math.min(3, Math.max(1, c.tier)))) return false;
  if (f.words.length > 0) {
    const text = `${c.platform} ${c.groupName} ${c.group} ${c.name} ${c.symbol} ${c.id}`.toLowerCase();
    if (!f.words.every((w) => text.includes(w))) return false;
  }
  return f.fields.every(([field, value]) => {
    switch (field) {
      case "job_type_name": return c.name.toLowerCase().includes(value);
      case "job_type_symbol": return c.symbol.toLowerCase() === value;
      case "job_group_name": return c.groupName.toLowerCase().includes(value);
      case "job_group_symbol": return c.group.toLowerCase() === value;
      default: return c.platform.toLowerCase().includes(value);
    }
  });
}

export interface Group {
  key: string; // symbol and tier
  symbol: string; // "?" for cells that stand alone
  name: string;
  tier: number;
  cells: Cell[];
}

export interface Row {
  platform: string;
  groups: Group[];
}

const padded = (s: string): string => s.replace(/\d+/g, (d) => d.padStart(6, "0"));

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const OPTIONS = ["opt", "pgo", "asan", "tsan", "debug", "ccov", "addon"];

// Build options in their usual order, then by name.
function platformOrder(a: string, b: string): number {
  const split = (p: string): [string, number] => {
    const i = p.lastIndexOf(" ");
    const rank = i < 0 ? -1 : OPTIONS.indexOf(p.slice(i + 1));
    return rank < 0 ? [p, OPTIONS.length] : [p.slice(0, i), rank];
  };
  // The decision stands before what it decided.
  const first = Number(b.includes("decision")) - Number(a.includes("decision"));
  if (first !== 0) return first;
  const [x, i] = split(a);
  const [y, j] = split(b);
  return order(padded(x), padded(y)) || i - j;
}

/** Puts cells into rows by platform and groups by symbol and tier. */
export function arrange(cells: Iterable<Cell>): Row[] {
  const rows = new Map<string, Map<string, Group>>();
  for (const c of cells) {
    let groups = rows.get(c.platform);
    if (!groups) rows.set(c.platform, (groups = new Map()));
    const key = `${c.group}|${c.tier}`;
    let g = groups.get(key);
    if (!g) groups.set(key, (g = { key, symbol: c.group, name: c.groupName, tier: c.tier, cells: [] }));
    g.cells.push(c);
  }
  return [...rows.entries()]
    .sort(([a], [b]) => platformOrder(a, b))
    .map(([platform, groups]) => {
      const list = [...groups.values()];
      for (const g of list) g.cells.sort((a, b) => order(padded(a.symbol), padded(b.symbol)) || order(padded(a.name), padded(b.name)) || order(a.id, b.id));
      // Cells without a group come first; then groups by the length of their symbol.
      const rank = (g: Group) => (g.symbol === "?" ? -1 : g.symbol.length);
      list.sort((a, b) => rank(a) - rank(b) || order(a.symbol, b.symbol) || a.tier - b.tier);
      return { platform, groups: list };
    });
}

/** How many cells are in each state. */
export function count(cells: Iterable<Cell>): Partial<Record<State, number>> {
  const out: Partial<Record<State, number>> = {};
  for (const c of cells) out[c.state] = (out[c.state] ?? 0) + 1;
  return out;
}

/** What a person wants to know first about a push. */
export function verdict(p: Pick<Push, "state">, cells: Cell[]): { state: State; text: string } {
  if (p.state === "failed") return { state: "failed", text: "No tasks: the decision failed" };
  if (p.state === "ignored") return { state: "cancelled", text: "Nothing to do" };
  const n = count(cells);
  const failures = (n.failed ?? 0) + (n.exception ?? 0);
  const open = (n.running ?? 0) + (n.pending ?? 0) + (n.unscheduled ?? 0);
  const percent = cells.length > 0 ? Math.floor(((cells.length - open) / cells.length) * 100) : 0;
  if (failures > 0) return { state: "failed", text: open > 0 ? `${failures} failed so far, ${percent}%` : `${failures} failed` };
  if (cells.length === 0 || p.state === "received" || p.state === "deciding") return { state: "running", text: "Deciding" };
  if (open > 0) return { state: "running", text: `${percent}%` };
  if ((n.cancelled ?? 0) > 0) return { state: "cancelled", text: n.cancelled === cells.length ? "Cancelled" : `${n.cancelled} cancelled` };
  return { state: "passed", text: "All passed" };
}
