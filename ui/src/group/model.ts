// A task group as the page knows it: what it is, what is shown of it, and what comes in.
import { computed, signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import { bootOf, type Cell, type Message, type State } from "../shell/data.ts";
import { bad, ended, STATES } from "../shell/look.tsx";
import { query, setQuery } from "../shell/url.ts";
import type { Graph, Group } from "./data.ts";
import { select } from "./table.ts";

export type View = "table" | "timeline" | "graph" | "stats";
export const VIEWS: View[] = ["table", "timeline", "graph", "stats"];

const viewOf = (): View => VIEWS.find((v) => v === query().get("view")) ?? "table";

export const group = signal<Group>(bootOf<Group>().data);
export const view = signal<View>(viewOf());
export const state = signal<State | "">((query().get("state") ?? "") as State | "");
export const text = signal(query().get("q") ?? "");
export const sort = signal(query().get("sort") ?? "");
export const kind = signal(query().get("kind") ?? "");
export const focus = signal(query().get("focus") ?? "");
export const lanes = signal<"pool" | "kind">(query().get("lanes") === "kind" ? "kind" : "pool");
export const graph = signal<Graph | null>(null);
export const kinds = signal(new Map<string, string>()); // of tasks, when the graph is known
/** The tasks that are shown, in order. A task that moves stays where it is for a while. */
export const listed = signal<Cell[]>([]);
export const moved = signal(new Set<string>()); // tasks that have got another place just now
export const chosen = signal(-1); // of listed
export const beat = signal(0); // changes when a task has moved
export const counts = signal<Partial<Record<State, number>>>({});

const known = new Map<string, Cell>();
const IDLE_MS = 1000; // rows are sorted anew when the pointer rests for so long
const GRAPH_MS = 4000; // between two looks at the graph while tasks move

function take(g: Group): void {
  group.value = g;
  known.clear();
  for (const c of g.cells) known.set(c.id, c);
  recount();
}

function recount(): void {
  const n: Partial<Record<State, number>> = {};
  for (const c of group.value.cells) n[c.state] = (n[c.state] ?? 0) + 1;
  counts.value = n;
}

const sum = (of: (s: State) => boolean): number => STATES.reduce((n, s) => n + (of(s) ? (counts.value[s] ?? 0) : 0), 0);

/** How many tasks failed or were lost. */
export const broken = computed(() => sum(bad));
/** How many tasks have not ended. */
export const open = computed(() => sum((s) => !ended(s)));
/** Whether there are any, for what need not be drawn at each change. */
export const someBroken = computed(() => broken.value > 0);
export const someOpen = computed(() => open.value > 0);

/** Chooses and sorts the tasks anew, now. */
export function relist(mark = false): void {
  const of = kinds.value;
  const wanted = kind.value;
  const all = select(group.value.cells, state.value, text.value, sort.value);
  const list = wanted && of.size > 0 ? all.filter((c) => of.get(c.id) === wanted) : all;
  if (mark) {
    const before = new Map<string, number>();
    listed.value.forEach((c, i) => touched.has(c.id) && before.set(c.id, i));
    showMoved(new Set(list.filter((c, i) => touched.has(c.id) && before.get(c.id) !== i).map((c) => c.id)));
  }
  touched.clear();
  const at = listed.value[chosen.value]?.id;
  if (list.length !== listed.value.length || list.some((c, i) => c !== listed.value[i])) listed.value = list;
  if (at !== undefined) chosen.value = list.findIndex((c) => c.id === at);
}

// showMoved marks the tasks that have got another place, until the next do or for a while.
function showMoved(ids: Set<string>): void {
  clearTimeout(unmark);
  if (ids.size > 0 || moved.value.size > 0) moved.value = ids;
  if (ids.size > 0) unmark = setTimeout(() => showMoved(new Set()), 2500);
}

let unmark: ReturnType<typeof setTimeout> | undefined;
const touched = new Set<string>();
let pointerAt = 0;
let sorting: ReturnType<typeof setTimeout> | undefined;

function relistWhenIdle(): void {
  if (sorting !== undefined) return;
  const wait = () => {
    const rest = IDLE_MS - (performance.now() - pointerAt);
    if (rest > 0) {
      sorting = setTimeout(wait, rest);
      return;
    }
    sorting = undefined;
    relist(true);
  };
  sorting = setTimeout(wait, IDLE_MS);
}

let soon: ReturnType<typeof setTimeout> | undefined;

function reload(): void {
  soon ??= setTimeout(async () => {
    soon = undefined;
    try {
      take(await get<Group>(`/ui/api/groups/${group.value.id}`));
      relist();
      graphSoon();
    } catch {
      // The header says when the server is away; the page keeps what it knows.
    }
  }, group.value.cells.length > 2000 ? 1500 : 200);
}

let graphAt = -GRAPH_MS;
let graphTimer: ReturnType<typeof setTimeout> | undefined;

/** Reads how the tasks hang together, unless that was just done or nobody looks at it. */
export function graphSoon(): void {
  if (view.value === "table" && kind.value === "") return;
  graphTimer ??= setTimeout(async () => {
    graphTimer = undefined;
    graphAt = performance.now();
    try {
      const g = await get<Graph>(`/ui/api/groups/${group.value.id}/graph`);
      const ids = group.value.cells.map((c) => c.id).sort();
      if (ids.length === g.of.length) kinds.value = new Map(ids.map((id, i) => [id, g.kinds[g.of[i]!]!.name]));
      graph.value = g;
      if (kind.value) relist();
    } catch {
      // as above
    }
  }, Math.max(0, GRAPH_MS - (performance.now() - graphAt)));
}

/** Takes what the stream tells; ended is called when the last task has ended. */
export function receive(list: Message[], whenEnded: () => void): void {
  let changed = false;
  for (const m of list) {
    if (m.kind === "reset") reload();
    if (!m.task || m.groupId !== group.value.id) continue;
    const c = known.get(m.task.id);
    if (!c) {
      reload();
      continue;
    }
    Object.assign(c, m.task);
    touched.add(c.id);
    changed = true;
  }
  if (changed) showSoon(whenEnded);
}

const DRAW_MS = 250; // between two drawings of what moves
let drawn = -DRAW_MS;
let drawing: ReturnType<typeof setTimeout> | undefined;

/** Shows what has moved: at once, and not again for a moment, however much moves. */
function showSoon(whenEnded: () => void): void {
  drawing ??= setTimeout(() => {
    drawing = undefined;
    drawn = performance.now();
    show(whenEnded);
  }, Math.max(0, DRAW_MS - (performance.now() - drawn)));
}

function show(whenEnded: () => void): void {
  const before = someOpen.value;
  recount();
  title();
  if (document.hidden) stale = true;
  else draw();
  if (before && !someOpen.value) whenEnded();
  if (before !== someOpen.value) reload(); // what can be done to the group is other now
}

let stale = false; // something has moved that nobody could see

// draw shows in the view what has moved.
function draw(): void {
  stale = false;
  beat.value++;
  relistWhenIdle();
  graphSoon();
}

export function title(): void {
  const text = `${broken.value > 0 ? `[${broken.value}] ` : ""}${group.value.title} · Treeline`;
  if (document.title !== text) document.title = text;
}

export function choose(s: State): void {
  state.value = state.value === s ? "" : s;
  setQuery({ state: state.value }, true);
  relist();
}

export function look(v: View): void {
  view.value = v;
  setQuery({ view: v === "table" ? null : v }, true);
  graphSoon();
}

export function chooseKind(name: string): void {
  kind.value = name;
  if (name) look("table");
  setQuery({ kind: name || null }, true);
  graphSoon();
  relist();
}

export function focusOn(id: string): void {
  focus.value = id;
  setQuery({ focus: id || null }, true);
}

/** Begins to keep the page in step with its address. */
export function begin(): void {
  take(group.value);
  relist();
  graphSoon();
  title();
  const active = () => (pointerAt = performance.now());
  for (const event of ["pointermove", "wheel", "keydown", "scroll"]) addEventListener(event, active, { passive: true, capture: true });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stale) draw();
  });
  addEventListener("popstate", () => {
    state.value = (query().get("state") ?? "") as State | "";
    view.value = viewOf();
    kind.value = query().get("kind") ?? "";
    focus.value = query().get("focus") ?? "";
    relist();
    graphSoon();
  });
}

/** After something was done to the group: its seal may have changed. */
export const refresh = reload;
