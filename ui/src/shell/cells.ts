// Cells as the server sends many of them: in columns, where what is alike is written once.
import type { Cell, State } from "./data.ts";

export interface Columns {
  n: number;
  ids: string; // of 22 characters each
  names: string[];
  symbols: string[];
  places: { platform: string; group: string; groupName: string; tier: number; queue: string }[];
  place: number[];
  stands: { state: State; reason: string; run: number; runs: number }[];
  stand: number[];
  base: number;
  scheduled: number[]; // after base; -1 for what has not happened
  started: number[]; // after that
  ended: number[]; // after the last of these
  before?: Record<number, number>;
}

const ID = 22;

/** Turns columns into cells. Texts that cells share stay shared. */
export function unpack(c: Columns): Cell[] {
  const out = new Array<Cell>(c.n);
  for (let i = 0; i < c.n; i++) {
    const place = c.places[c.place[i]!]!;
    const stand = c.stands[c.stand[i]!]!;
    let last = c.base;
    const at = (after: number): number => (after < 0 ? 0 : (last += after));
    const scheduled = at(c.scheduled[i]!);
    const started = at(c.started[i]!);
    const ended = at(c.ended[i]!);
    out[i] = {
      id: c.ids.slice(i * ID, (i + 1) * ID), name: c.names[i]!, symbol: c.symbols[i]!,
      platform: place.platform, group: place.group, groupName: place.groupName, tier: place.tier, queue: place.queue,
      state: stand.state, reason: stand.reason, run: stand.run, runs: stand.runs, scheduled, started, ended, before: c.before?.[i] ?? 0,
    };
  }
  return out;
}
