// Puts the tasks of a group into the rows of a timeline.
import type { Cell, State } from "../shell/data.ts";

export interface Bar {
  cell: Cell;
  row: number;
  from: number; // when it could run, milliseconds since 1970
  begin: number; // when it began; to for one that has not
  to: number;
  state: State;
}

export interface Lane {
  name: string;
  first: number; // row
  rows: number;
}

export interface Lanes {
  bars: Bar[]; // by row, then by time
  lanes: Lane[];
  rows: number;
  starts: number[]; // the first bar of each row, and behind the last
}

/** Arranges the cells in lanes by a name; within one, tasks that are there at the same time lie in rows below each other. */
export function arrange(cells: Cell[], now: number, nameOf: (c: Cell) => string): Lanes {
  const byLane = new Map<string, Cell[]>();
  for (const c of cells) {
    if (c.scheduled === 0) continue;
    const name = nameOf(c);
    const list = byLane.get(name);
    if (list) list.push(c);
    else byLane.set(name, [c]);
  }
  const out: Lanes = { bars: [], lanes: [], rows: 0, starts: [] };
  const collator = new Intl.Collator(undefined, { numeric: true });
  for (const name of [...byLane.keys()].sort(collator.compare)) {
    const rows: Bar[][] = [];
    const free = new Heap();
    const list = byLane.get(name)!.sort((a, b) => a.scheduled - b.scheduled || (a.id < b.id ? -1 : 1));
    for (const c of list) {
      const to = Math.max(c.ended || now, c.scheduled);
      let row: number;
      if (free.size > 0 && free.least <= c.scheduled) row = free.take();
      else {
        row = rows.length;
        rows.push([]);
      }
      free.add(to, row);
      rows[row]!.push({ cell: c, row: out.rows + row, from: c.scheduled, begin: c.started || to, to, state: c.state });
    }
    out.lanes.push({ name, first: out.rows, rows: rows.length });
    out.rows += rows.length;
    for (const row of rows) {
      out.starts.push(out.bars.length);
      for (const b of row) out.bars.push(b);
    }
  }
  out.starts.push(out.bars.length);
  return out;
}

/** The bar of a row at a time, or one that is not further than some milliseconds. */
export function barAt(l: Lanes, row: number, time: number, near: number): Bar | undefined {
  if (row < 0 || row >= l.rows) return undefined;
  let low = l.starts[row]!;
  const end = l.starts[row + 1]!;
  let high = end;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (l.bars[mid]!.from <= time) low = mid + 1;
    else high = mid;
  }
  const before = low > l.starts[row]! ? l.bars[low - 1] : undefined;
  if (before && time <= before.to + near) return before;
  const after = low < end ? l.bars[low] : undefined;
  return after && after.from - near <= time ? after : undefined;
}

// Heap gives the row that is free first.
class Heap {
  private readonly list: [number, number][] = [];

  get size(): number {
    return this.list.length;
  }

  get least(): number {
    return this.list[0]![0];
  }

  add(at: number, row: number): void {
    const l = this.list;
    l.push([at, row]);
    let i = l.length - 1;
    while (i > 0 && before(l[i]!, l[(i - 1) >> 1]!)) {
      [l[i], l[(i - 1) >> 1]] = [l[(i - 1) >> 1]!, l[i]!];
      i = (i - 1) >> 1;
    }
  }

  take(): number {
    const l = this.list;
    const [, row] = l[0]!;
    const last = l.pop()!;
    if (l.length > 0) {
      l[0] = last;
      for (let i = 0; ; ) {
        let least = i;
        for (const k of [2 * i + 1, 2 * i + 2]) if (k < l.length && before(l[k]!, l[least]!)) least = k;
        if (least === i) break;
        [l[i], l[least]] = [l[least]!, l[i]!];
        i = least;
      }
    }
    return row;
  }
}

const before = (a: [number, number], b: [number, number]): boolean => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
