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

// Names are compared once, not at each sorting.
const ranked = new WeakMap<Cell, number>();

/** Ranks the names of all the cells among which select is going to choose. */
export function rank(cells: Cell[]): void {
  if (cells.every((c) => ranked.has(c))) return;
  [...cells].sort((a, b) => collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1)).forEach((c, i) => ranked.set(c, i));
}

/** The cells in a state ("" for all) with all words in name or queue, in an order ("-ran" is falling). */
export function select(cells: Cell[], state: State | "", text: string, sort: string): Cell[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  rank(cells);
  const list = cells.filter((c) => {
    if (state !== "" && c.state !== state) return false;
    if (words.length === 0) return true;
    const all = `${c.name} ${c.queue} ${c.id}`.toLowerCase();
    return words.every((w) => all.includes(w));
  });
  const key = sort.replace(/^-/, "");
  const column = COLUMNS.find((c) => c.key === key);
  const sign = sort.startsWith("-") ? -1 : 1;
  return list.sort((a, b) => {
    if (column) {
      const x = column.value(a);
      const y = column.value(b);
      if (x !== y) {
        if (x === LATE) return 1;
        if (y === LATE) return -1;
        if (column.key === "name") return sign * (ranked.get(a)! - ranked.get(b)!);
        return sign * (typeof x === "string" ? collator.compare(x, String(y)) : x - Number(y));
      }
    }
    return PLACES.get(a.state)! - PLACES.get(b.state)! || ranked.get(a)! - ranked.get(b)!;
  });
}
