// What the server answers about a task group besides its tasks.
import type { GroupData, State } from "../shell/data.ts";

export interface Spread {
  n: number;
  p50: number; // milliseconds, as the others
  p75: number;
  p99: number;
  max: number;
  sum: number;
}

export interface Kind {
  name: string;
  tasks: number;
  states: Partial<Record<State, number>>;
  ran: Spread;
  waited: Spread;
  other?: boolean; // it stands for several kinds
}

export interface Stats {
  tasks: number;
  first: number; // milliseconds since 1970, 0 for none
  last: number;
  open: number; // tasks that have not ended
  waited: Spread;
  ran: Spread;
}

export interface Graph {
  kinds: Kind[];
  edges: { from: number; to: number; n: number }[];
  of: number[]; // the kind of each task, sorted by id
  critical: string[];
  takes: number; // milliseconds of the critical path
  stats: Stats;
}

export interface Around {
  nodes: { id: string; name: string; state: State | ""; step: number; more?: number }[];
  edges: [number, number][];
}

/** Something to do to the whole group. */
export interface GroupAct {
  name: "seal" | "cancel" | "rerun";
  label: string;
  asks: string;
  allowed: boolean;
  why: string;
}

export type Group = GroupData & { acts: GroupAct[] };
