import type { Cell, State } from "../shell/data.ts";
import { STATES } from "../shell/look.tsx";

export interface Column {
  key: string;
  title: string;
  value: (c: Cell) => string | number;
}

// What has no value yet stands last.
const LATE = Number.MAX_SAFE_INTEGER;

export const COLUMNS: Column[] = [
  { key: "name", title: "Task", value: (c) => c.name },
  { key: "state", title: "State", value: (c) => STATES.indexOf(c.state) },
  { key: "queue", title: "Queue", value: (c) => c.queue },
  { key: "waited", title: "Waited", value: (c) => (c.scheduled && c.started ? c.started - c.scheduled : LATE) },
  { key: "ran", title: "Ran", value: (c) => (c.started && c.ended ? c.ended - c.started : LATE) },
  { key: "ended", title: "Ended", value: (c) => c.ended || LATE },
];

const collator = new Intl.Collator(undefined, { numeric: true });

const PLACES = new Map(STATES.map((s, i) => [s, i]));

// Names are compared once for a list of cells, not at each sorting.
const named = new WeakMap<Cell[], Cell[]>();

function byName(cells: Cell[]): Cell[] {
  let list = named.get(cells);
  if (!list) {
    list = [...cells].sort((a, b) => collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
    named.set(cells, list);
  }
  return list;
}

/** The cells in a state ("" for all) with all words in name or queue, in an order ("-ran" is falling). Cells may change, but not which they are. */
export function select(cells: Cell[], state: State | "", text: string, sort: string): Cell[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const states = STATES.map((): Cell[] => []);
  for (const c of byName(cells)) {
    if (state !== "" && c.state !== state) continue;
    const all = words.length > 0 ? `${c.name} ${c.queue} ${c.id}`.toLowerCase() : "";
    if (words.every((w) => all.includes(w))) states[PLACES.get(c.state)!]!.push(c);
  }
  const list = states.flat();
  const key = sort.replace(/^-/, "");
  const column = COLUMNS.find((c) => c.key === key);
  const sign = sort.startsWith("-") ? -1 : 1;
  if (!column) return list;
  const place = new Map(column.key === "name" ? byName(cells).map((c, i) => [c, i]) : []);
  const value = (c: Cell) => place.get(c) ?? column.value(c);
  return list.sort((a, b) => {
    const x = value(a);
    const y = value(b);
    if (x === y) return 0;
    if (x === LATE) return 1;
    if (y === LATE) return -1;
    return sign * (typeof x === "string" ? collator.compare(x, String(y)) : x - Number(y));
  });
}
