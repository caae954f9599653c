// The workers of a pool as the table has them.

/** A worker; the server writes it so short because there are thousands. Times are milliseconds since 1970, 0 for none. */
export interface Worker {
  g: string; // group
  i: string; // id
  s: "working" | "idle" | "away" | "requested" | "stopping" | "stopped";
  q?: number; // in quarantine until
  n?: number; // tasks it has now
  c?: number; // capacity
  t?: string; // its last task
  r?: number; // and run
  tn?: string; // its name
  ts?: string; // how it stands
  u?: number; // since when it is up
  l?: number; // when it asked for work last
  rn?: number; // of its last runs, how many tell of it
  rf?: number; // and failed
  x?: boolean; // suspect
  e?: number; // errors it reported
}

export interface Workers {
  rows: Worker[];
  pool: string;
  rate: string;
  runs: number;
  now: number;
  mayHold: string;
  mayEnd: string;
  late: boolean; // what the workers did comes with another request
}

export const nameOf = (w: Worker): string => `${w.g}/${w.i}`;

const failing = (w: Worker): number => (w.rn ? (w.rf ?? 0) / w.rn + (w.rf ?? 0) / 1e6 : 0);

/** Names with their numbers made equally long, so that they compare as people count; much faster than a collator. */
export const sortable = (name: string): string => name.replace(/\d+/g, (n) => n.padStart(12, "0"));

type Value = (w: Worker, i: number, names: string[]) => number | string;

export interface Column {
  key: string;
  title: string;
  value: Value;
}

// What stands first is what needs a look.
export const COLUMNS: Column[] = [
  { key: "worker", title: "Worker", value: (_, i, names) => names[i]! },
  { key: "state", title: "State", value: (w) => (w.q ? "a" : "b") + w.s },
  { key: "held", title: "Quarantine", value: (w) => -(w.q ?? 0) },
  { key: "task", title: "Last task", value: (w) => w.tn ?? "\uffff" },
  { key: "uptime", title: "Up", value: (w) => w.u ?? Number.MAX_SAFE_INTEGER },
  { key: "failures", title: "Failed", value: (w) => -failing(w) },
  { key: "errors", title: "Errors", value: (w) => -(w.e ?? 0) },
];

/** The workers that fit a filter and hold a text, in an order ("-up" is turned around). names are those of all. */
export function select(all: Worker[], names: string[], show: string, text: string, sort: string): Worker[] {
  const want = text.trim().toLowerCase();
  const index: number[] = [];
  all.forEach((w, i) => {
    if (show === "quarantined" ? !w.q : show === "suspect" ? !w.x : show !== "" && show !== "all" && w.s !== show) return;
    if (want !== "" && !nameOf(w).toLowerCase().includes(want)) return;
    index.push(i);
  });
  const key = sort.replace(/^-/, "");
  const column = COLUMNS.find((c) => c.key === key) ?? COLUMNS[0]!;
  const sign = sort.startsWith("-") ? -1 : 1;
  const values = new Map(index.map((i) => [i, column.value(all[i]!, i, names)]));
  index.sort((a, b) => {
    const x = values.get(a)!;
    const y = values.get(b)!;
    if (x !== y) return sign * (x < y ? -1 : 1);
    return names[a]! < names[b]! ? -1 : 1;
  });
  return index.map((i) => all[i]!);
}
