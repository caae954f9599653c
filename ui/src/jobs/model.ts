// What the page knows: its pushes with their tasks, which is selected, and what came in.
import { batch, signal, type Signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import { unpack } from "../shell/cells.ts";
import { bootOf, type Cell, type JobsData, type Message, type Push, type Said } from "../shell/data.ts";
import { bad } from "../shell/look.tsx";
import { query, setQuery } from "../shell/url.ts";
import { settled } from "./filter.ts";
import { JobGrid } from "./grid.ts";
import { statsOf, type Stats } from "./stats.ts";

/** How many tasks the page keeps at most; beyond, those of pushes far from the view are let go. */
const KEEP = 60_000;
const STATS_MS = 250;

export class PushModel {
  readonly info: Signal<Push>;
  readonly stats: Signal<Stats>;
  readonly watch = signal(0); // 0 off, 1 when the push is complete, 2 when a task is
  cells: Cell[] | null = null; // null: not read, or let go
  known = new Set<string>();
  grid: JobGrid | null = null;
  near = 0; // when it was last near the view
  loading = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(push: Push) {
    this.info = signal(push);
    this.stats = signal(this.counted(push));
    this.take(push);
  }

  get id(): number {
    return this.info.value.id;
  }

  /** Takes what the server says of the push now. */
  take(push: Push): void {
    const columns = push.columns;
    this.info.value = { ...push, columns: null };
    this.known = new Set(push.known);
    if (!columns) {
      if (!this.cells) this.stats.value = this.counted(push);
      return;
    }
    const said = new Map(push.classes.map((s) => [s.task, s]));
    for (const c of this.cells ?? []) cellsById.delete(c.id);
    this.cells = unpack(columns);
    for (const c of this.cells) {
      const s = said.get(c.id);
      if (s) c.said = s;
      cellsById.set(c.id, { cell: c, push: this });
    }
    this.restat();
    this.grid?.set(this.cells);
  }

  // counted is what is known of a push whose tasks are not here.
  private counted(push: Push): Stats {
    const s = statsOf([], this.known, Date.now());
    s.counts = push.counts;
    for (const n of Object.values(push.counts)) s.total += n;
    s.open = (push.counts.running ?? 0) + (push.counts.pending ?? 0) + (push.counts.unscheduled ?? 0);
    s.percent = s.total > 0 ? Math.floor(((s.total - s.open) / s.total) * 100) : 0;
    const quiet = push.classes.filter((c) => c.class >= 2 && c.class <= 5).length;
    s.unclassified = Math.max(0, (push.counts.failed ?? 0) + (push.counts.exception ?? 0) - quiet);
    return s;
  }

  /** Lets the tasks go; they are read again when somebody looks. */
  letGo(): void {
    for (const c of this.cells ?? []) cellsById.delete(c.id);
    this.info.value = { ...this.info.value, counts: this.stats.value.counts, classes: (this.cells ?? []).flatMap((c) => c.said ?? []) };
    this.cells = null;
    this.grid?.set([]);
  }

  restat(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.cells) this.stats.value = statsOf(this.cells, this.known, Date.now());
  }

  /** Counts anew in a moment. */
  changed(): void {
    this.timer ??= setTimeout(() => this.restat(), STATS_MS);
  }
}

export const data = bootOf<JobsData>().data;
export const cellsById = new Map<string, { cell: Cell; push: PushModel }>();
export const pushes = signal<PushModel[]>(data.pushes.map((p) => new PushModel(p)));
export const unseen = signal<PushModel[]>([]);
export const older = signal(data.older);
export const selected = signal("");

export const cellOf = (id: string): Cell | undefined => cellsById.get(id)?.cell;

/** api is this page's address as the data's: the same parameters choose the same pushes. */
export function api(more: Record<string, string | number>): string {
  const params = query();
  params.set("repo", data.repo);
  for (const [k, v] of Object.entries(more)) params.set(k, String(v));
  return `/ui/api/jobs?${params}`;
}

/** Reads the tasks of a push that has none here. */
export async function ensure(p: PushModel): Promise<void> {
  p.near = performance.now();
  if (p.cells || p.loading) return;
  p.loading = true;
  try {
    const fresh = await get<JobsData>(api({ push: p.id }));
    const push = fresh.pushes[0];
    if (push) p.take(push);
    trim(p);
  } catch {
    // The header says when the server is away; it is tried again at the next look.
  } finally {
    p.loading = false;
  }
}

// trim lets tasks go that nobody has looked at for the longest time.
function trim(keep: PushModel): void {
  let total = pushes.value.reduce((n, p) => n + (p.cells?.length ?? 0), 0);
  const list = pushes.value.filter((p) => p !== keep && p.cells && cellsById.get(selected.value)?.push !== p).sort((a, b) => a.near - b.near);
  for (const p of list) {
    if (total <= KEEP) return;
    total -= p.cells!.length;
    p.letGo();
  }
}

const stale = new Map<number, boolean>(); // whether the tasks are wanted
let refreshing: ReturnType<typeof setTimeout> | undefined;

/** Reads pushes anew, a moment later and all at once. */
export function refresh(id: number, tasks = true): void {
  stale.set(id, tasks || (stale.get(id) ?? false));
  refreshing ??= setTimeout(() => void readAnew(), 120);
}

async function readAnew(): Promise<void> {
  const list = [...stale];
  stale.clear();
  refreshing = undefined;
  for (const tasks of [true, false]) {
    const ids = list.filter(([, t]) => t === tasks).map(([id]) => id);
    for (let i = 0; i < ids.length; i += 20) {
      const part = ids.slice(i, i + 20);
      try {
        merge((await get<JobsData>(api({ push: part.join(","), ...(tasks ? {} : { cells: 0 }) }))).pushes);
      } catch {
        setTimeout(() => part.forEach((id) => refresh(id, tasks)), 2000);
      }
    }
  }
}

function merge(fresh: Push[]): void {
  batch(() => {
    const added: PushModel[] = [];
    for (const p of fresh) {
      const here = [...pushes.value, ...unseen.value].find((m) => m.id === p.id);
      if (here) here.take(p);
      else added.push(new PushModel(p));
    }
    if (added.length === 0) return;
    added.sort((a, b) => b.id - a.id);
    const top = scrollY < 120 && !document.querySelector("dialog[open]") && selected.value === "";
    if (top) pushes.value = [...added, ...pushes.value];
    else unseen.value = [...added, ...unseen.value];
  });
}

/** Whether a push that was not there before belongs on this page. */
const fixed = (): boolean => ["revision", "tochange", "enddate", "author"].some((p) => query().has(p));

export function receive(list: Message[]): void {
  const moved = new Map<PushModel, Cell[]>();
  const add = (p: PushModel, c: Cell) => {
    const cells = moved.get(p);
    if (cells) cells.push(c);
    else moved.set(p, [c]);
  };
  for (const m of list) {
    if (m.kind === "reset") {
      for (const p of pushes.value) refresh(p.id, p.cells !== null);
    } else if (m.push !== undefined && m.repo === data.repo) {
      if (!fixed() || pushes.value.some((p) => p.id === m.push)) refresh(m.push, pushes.value.find((p) => p.id === m.push)?.cells !== null);
    } else if (m.said) {
      const hit = cellsById.get(m.said.task);
      if (hit) {
        say(hit.cell, m.said);
        add(hit.push, hit.cell);
      } else ownerOf(m.groupId, false);
    } else if (m.task) {
      const hit = cellsById.get(m.task.id);
      if (hit) {
        const was = hit.cell.state;
        Object.assign(hit.cell, { before: 0 }, m.task);
        add(hit.push, hit.cell);
        if (was !== hit.cell.state) notices.forEach((f) => f(hit.push, hit.cell));
      } else ownerOf(m.groupId, true);
    }
  }
  for (const [p, cells] of moved) {
    p.grid?.moved(cells);
    p.changed();
  }
}

// ownerOf has the push of a group read anew: it has a task that is not here.
function ownerOf(group: string | undefined, tasks: boolean): void {
  const p = [...pushes.value, ...unseen.value].find((x) => group && x.info.value.groups.includes(group));
  if (p) refresh(p.id, tasks && p.cells !== null);
}

/** What somebody said of a task, or with id 0 that nothing counts any more. */
export function say(c: Cell, s: Said): void {
  if (s.id === 0) delete c.said;
  else c.said = s;
}

/** Takes what was said of tasks here before the stream tells. */
export function sayAll(list: Said[]): void {
  receive(list.map((said) => ({ kind: "task-classified", to: [], said })));
}

export const notices: ((p: PushModel, c: Cell) => void)[] = [];

export function select(id: string, reveal = true): void {
  selected.value = id;
  const c = cellOf(id);
  setQuery({ selectedTaskRun: c ? `${id}.${Math.max(0, c.run)}` : null, selectedJob: null });
  for (const p of pushes.value) p.grid?.select(id, reveal);
  // Once the panel is there it covers a part of the page.
  if (c && reveal) requestAnimationFrame(() => cellsById.get(id)?.push.grid?.reveal(id));
}

export const unclassified = (): number => pushes.value.reduce((n, p) => n + p.stats.value.unclassified, 0);

/** All tasks of a push that pass its filter, in reading order, drawn as cells or not. */
export const needsLook = (c: Cell): boolean => bad(c.state) && !settled(c);
