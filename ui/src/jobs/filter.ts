// Which cells are shown, from the parameters of the URL. Names, meanings and defaults are Treeherder's
// (section 1.6 of the UI study).
import type { Cell, State } from "../shell/data.ts";

/** The words of resultStatus as chips and cells have them; "busted" is written beside "testfailed", which is the same here. */
export type Status = "testfailed" | "exception" | "success" | "retry" | "usercancel" | "superseded" | "running" | "pending" | "unscheduled";

export const STATUSES: Status[] = ["testfailed", "exception", "success", "retry", "usercancel", "superseded", "running", "pending", "unscheduled"];
export const DEFAULT: Status[] = ["testfailed", "exception", "success", "retry", "usercancel", "running", "pending"];

const OF_STATE: Record<State, Status> = {
  failed: "testfailed", exception: "exception", passed: "success", retried: "retry", cancelled: "usercancel", running: "running", pending: "pending", unscheduled: "unscheduled",
};

export const statusOf = (c: Cell): Status => (c.state === "exception" && c.reason === "superseded" ? "superseded" : OF_STATE[c.state]);

/** Classes that still want somebody to look. */
const UNCLASSIFIED = new Set([1, 6, 7, 8]);

export const classOf = (c: Cell): number => c.said?.class ?? 1;

/** Whether somebody has said what a failure is, so that nobody need look. */
export const settled = (c: Cell): boolean => !UNCLASSIFIED.has(classOf(c));

export interface Filter {
  statuses: Set<Status>;
  tiers: Set<number>;
  words: string[];
  fields: [string, string][];
  classified: boolean;
  unclassified: boolean;
  classes: Set<number>; // empty: any
  paths: string[]; // of tests
  tests: Set<string> | null; // names of the tasks that run these; null while that is not known
}

export const FIELDS: [string, string][] = [
  ["job_type_name", "Name"], ["job_type_symbol", "Symbol"], ["job_group_name", "Group"], ["job_group_symbol", "Group symbol"], ["platform", "Platform"],
  ["failure_classification_id", "Class"], ["test_paths", "Test path"],
];

export function parseFilter(params: URLSearchParams, tests: Set<string> | null = null): Filter {
  const all = (name: string) => [...params.getAll(name), ...params.getAll("filter-" + name)];
  const list = (name: string) => all(name).flatMap((v) => v.split(",")).map((s) => s.trim()).filter(Boolean);
  const words = list("resultStatus").map((w) => (w === "busted" ? "testfailed" : w));
  const statuses = new Set(words.length === 0 ? DEFAULT : STATUSES.filter((s) => words.includes(s)));
  const tiers = new Set(list("tier").map(Number).filter((n) => n >= 1 && n <= 3));
  if (tiers.size === 0) for (const t of [1, 2]) tiers.add(t);
  const states = list("classifiedState");
  const fields: [string, string][] = [];
  for (const f of ["job_type_name", "job_type_symbol", "job_group_name", "job_group_symbol", "platform"]) {
    for (const v of all(f)) if (v !== "") fields.push([f, v.toLowerCase()]);
  }
  return {
    statuses, tiers, fields, tests, words: all("searchStr").join(" ").toLowerCase().split(/[\s,]+/).filter(Boolean),
    classified: states.length === 0 || states.includes("classified"), unclassified: states.length === 0 || states.includes("unclassified"),
    classes: new Set(list("failure_classification_id").map(Number).filter((n) => n >= 1 && n <= 8)), paths: list("test_paths"),
  };
}

/** The value of resultStatus for a set; null when it is the default. */
export function formatStatuses(set: Set<Status>): string | null {
  if (set.size === DEFAULT.length && DEFAULT.every((s) => set.has(s))) return null;
  return STATUSES.filter((s) => set.has(s)).map((s) => (s === "testfailed" ? "testfailed,busted" : s)).join(",") || "none";
}

/** The value of tier; null when it is the default. */
export function formatTiers(set: Set<number>): string | null {
  const list = [1, 2, 3].filter((t) => set.has(t));
  return list.join(",") === "1,2" || list.length === 0 ? null : list.join(",");
}

export function matches(c: Cell, f: Filter): boolean {
  // What ran again counts as a retry where what passed is not asked for.
  if (!c.ghost && !f.statuses.has(statusOf(c)) && !(c.runs > 1 && f.statuses.has("retry") && !f.statuses.has("success"))) return false;
  if (!f.tiers.has(Math.min(3, Math.max(1, c.tier)))) return false;
  if (!c.ghost && (!f.classified || !f.unclassified)) if (!(settled(c) ? f.classified : f.unclassified)) return false;
  if (!c.ghost && f.classes.size > 0 && !f.classes.has(classOf(c))) return false;
  if (f.paths.length > 0 && !f.tests?.has(c.name)) return false;
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
  key: string; // platform, symbol and tier
  symbol: string; // "?" for cells that stand alone
  name: string;
  tier: number;
  cells: Cell[];
}

export interface Row {
  platform: string;
  groups: Group[];
}

export const groupKey = (c: Cell): string => `${c.platform}|${c.group}|${c.tier}`;

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
    if (!g) groups.set(key, (g = { key: groupKey(c), symbol: c.group, name: c.groupName, tier: c.tier, cells: [] }));
    g.cells.push(c);
  }
  return [...rows.entries()]
    .sort(([a], [b]) => platformOrder(a, b))
    .map(([platform, groups]) => {
      const list = [...groups.values()];
      for (const g of list) {
        const keyed = g.cells.map((c) => ({ c, symbol: padded(c.symbol), name: padded(c.name) }));
        keyed.sort((a, b) => order(a.symbol, b.symbol) || order(a.name, b.name) || order(a.c.id, b.c.id));
        g.cells = keyed.map((k) => k.c);
      }
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
