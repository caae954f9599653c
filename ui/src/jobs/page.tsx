// The pushes of a repository.
import { render } from "preact";
import { signal } from "@preact/signals";
import { act, get } from "../shell/api.ts";
import { bootOf, type Cell, type JobsData, type Message, type Push, type State } from "../shell/data.ts";
import { toggleActions } from "../shell/actions.tsx";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { bad, ended, Icon, WORD } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";
import { plural } from "../shell/time.ts";
import { query, setQuery } from "../shell/url.ts";
import { formatStates, parseFilter, type Filter } from "./filter.ts";
import { JobGrid } from "./grid.ts";
import { Panel } from "./panel.tsx";
import { PushView } from "./push.tsx";

const data = bootOf<JobsData>().data;

const pushes = signal<Push[]>(data.pushes);
const unseen = signal<Push[]>([]);
const older = signal(data.older);
const filter = signal<Filter>(parseFilter(query()));
const everything = signal(query().get("group_state") === "expanded");
const folded = signal(new Set((query().get("collapsedPushes") ?? "").split(",").filter(Boolean)));
const selected = signal((query().get("selectedTaskRun") ?? "").split(".")[0]!.slice(0, 22));

const grids = new Map<number, JobGrid>();
const known = new Map<string, { push: number; cell: Cell }>(); // by task id

function index(list: Push[]): void {
  for (const p of list) for (const c of p.cells) known.set(c.id, { push: p.id, cell: c });
}

function gridOf(box: HTMLElement, push: Push): JobGrid {
  let grid = grids.get(push.id);
  if (grid?.box !== box) {
    grid = new JobGrid(box, filter.value, { select, open: (id) => window.open(`/tasks/${id}`) });
    grids.set(push.id, grid);
  }
  grid.show(filter.value, everything.value);
  grid.set(push.cells);
  grid.select(selected.value);
  return grid;
}

function select(id: string): void {
  selected.value = id;
  const cell = cellOf(id);
  setQuery({ selectedTaskRun: cell ? `${id}.${Math.max(0, cell.run)}` : null });
  for (const g of grids.values()) g.select(id);
}

const cellOf = (id: string): Cell | undefined => known.get(id)?.cell;

const shown = (): JobGrid[] => pushes.value.filter((p) => !folded.value.has(String(p.id))).flatMap((p) => grids.get(p.id) ?? []);

// step goes to the next of a list, round and round.
function step(list: string[], by: number): void {
  if (list.length === 0) return;
  const at = list.indexOf(selected.value);
  select(list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length]!);
}

function stepFailure(by: number): void {
  const all = shown().flatMap((g) => g.shown());
  const list = all.filter((c) => bad(c.state)).map((c) => c.id);
  if (list.length === 0) {
    toast("No failures among the shown tasks.");
    return;
  }
  const at = all.findIndex((c) => c.id === selected.value);
  if (at < 0 || list.includes(selected.value)) return step(list, by);
  // From a cell that is no failure: the nearest in that direction.
  const next = by > 0 ? all.slice(at).find((c) => bad(c.state)) : all.slice(0, at).findLast((c) => bad(c.state));
  select(next?.id ?? list[by > 0 ? 0 : list.length - 1]!);
}

// stepRow goes to the cell nearest above or below.
function stepRow(by: number): void {
  const cells = shown().flatMap((g) => g.order().map((id) => ({ id, at: g.element(id)!.getBoundingClientRect() })));
  const now = cells.find((c) => c.id === selected.value);
  if (!now) return step(cells.map((c) => c.id), by);
  const lines = cells.filter((c) => (c.at.top - now.at.top) * by > 4);
  if (lines.length === 0) return;
  const next = by > 0 ? Math.min(...lines.map((c) => c.at.top)) : Math.max(...lines.map((c) => c.at.top));
  const line = lines.filter((c) => Math.abs(c.at.top - next) < 4);
  select(line.reduce((a, b) => (Math.abs(b.at.left - now.at.left) < Math.abs(a.at.left - now.at.left) ? b : a)).id);
}

function rerunSelected(): void {
  const cell = cellOf(selected.value);
  if (!cell) toast("Select a task first: j goes to the next failure.");
  else if (!ended(cell.state)) toast(`${cell.name} is ${WORD[cell.state]}; only what has ended can run again.`);
  else void act("rerun", cell.id);
}

function setFilter(change: Record<string, string | null>, push: boolean): void {
  setQuery(change, push);
  readUrl();
}

function readUrl(): void {
  filter.value = parseFilter(query());
  everything.value = query().get("group_state") === "expanded";
  for (const g of grids.values()) g.show(filter.value, everything.value);
}

function toggle(states: State[]): void {
  const next = new Set(filter.value.states);
  const on = states.every((s) => next.has(s));
  for (const s of states) on ? next.delete(s) : next.add(s);
  setFilter({ resultStatus: formatStates(next) }, true);
}

function only(states: State[]): void {
  const now = filter.value.states;
  const same = now.size === states.length && states.every((s) => now.has(s));
  setFilter({ resultStatus: same ? null : formatStates(new Set(states)) }, true);
}

const CHIPS: { name: string; icon: string; states: State[] }[] = [
  { name: "failed", icon: "st-failed", states: ["failed", "exception"] },
  { name: "passed", icon: "st-passed", states: ["passed"] },
  { name: "in progress", icon: "st-running", states: ["running", "pending"] },
  { name: "waiting", icon: "st-unscheduled", states: ["unscheduled"] },
  { name: "cancelled", icon: "st-cancelled", states: ["cancelled"] },
];

function Bar() {
  const f = filter.value;
  const text = query().get("searchStr") ?? "";
  return (
    <div class="bar" role="toolbar" aria-label="Filter">
      <input
        class="input" type="search" data-find placeholder="Filter tasks" aria-label="Filter tasks" defaultValue={text}
        onInput={(e) => setFilter({ searchStr: e.currentTarget.value }, false)}
      />
      {CHIPS.map((c) => (
        <button key={c.name} type="button" class="chip" aria-pressed={c.states.every((s) => f.states.has(s))} onClick={() => toggle(c.states)}>
          <Icon name={c.icon} class={`st-${c.states[0]}`} />{c.name}
        </button>
      ))}
      <button type="button" class="chip" aria-pressed={everything.value} onClick={() => setFilter({ group_state: everything.value ? null : "expanded" }, true)}>
        <Icon name="grid" />all cells
      </button>
      {f.fields.map(([field, value]) => (
        <button type="button" class="chip remove" onClick={() => setFilter({ [field]: null, ["filter-" + field]: null }, true)}>
          {field}: {value} ×
        </button>
      ))}
    </div>
  );
}

function App() {
  const list = pushes.value;
  return (
    <>
      <Bar />
      <div class={selected.value ? "with-panel" : ""}>
        <div class="pushes">
          {unseen.value.length > 0 && (
            <button type="button" class="button primary new-pushes" onClick={showUnseen}>{plural(unseen.value.length, "new push", "new pushes")}</button>
          )}
          {list.length === 0 && <p class="muted">No push matches.</p>}
          {list.map((p) => (
            <PushView key={p.id} repo={data.repo} push={p} folded={folded.value.has(String(p.id))} fold={() => fold(p.id)} grid={gridOf} />
          ))}
          {older.value && <button type="button" class="button" onClick={() => void loadOlder()}>Older pushes</button>}
        </div>
        {selected.value && <Panel id={selected.value} close={() => select("")} />}
      </div>
    </>
  );
}

function fold(id: number): void {
  const next = new Set(folded.value);
  if (!next.delete(String(id))) {
    next.add(String(id));
    grids.delete(id);
  }
  folded.value = next;
  setQuery({ collapsedPushes: [...next].join(",") });
}

function showUnseen(): void {
  pushes.value = [...unseen.value, ...pushes.value];
  unseen.value = [];
  scrollTo({ top: 0 });
}

// api is this page's address as the data's: the same parameters choose the same pushes.
function api(more: Record<string, string | number>): string {
  const params = query();
  params.set("repo", data.repo);
  for (const [k, v] of Object.entries(more)) params.set(k, String(v));
  return `/ui/api/jobs?${params}`;
}

async function loadOlder(): Promise<void> {
  const last = pushes.value[pushes.value.length - 1];
  const more = await get<JobsData>(api({ before: last?.id ?? 0 }));
  index(more.pushes);
  pushes.value = [...pushes.value, ...more.pushes];
  older.value = more.older;
}

const stale = new Set<number>();
let refreshing: ReturnType<typeof setTimeout> | undefined;

// refresh reads pushes anew, a moment later and all at once.
function refresh(id: number): void {
  stale.add(id);
  refreshing ??= setTimeout(async () => {
    const ids = [...stale];
    stale.clear();
    refreshing = undefined;
    try {
      const fresh = await get<JobsData>(api({ push: ids.join(",") }));
      merge(fresh.pushes);
    } catch {
      setTimeout(() => ids.forEach(refresh), 2000);
    }
  }, 120);
}

function merge(fresh: Push[]): void {
  index(fresh);
  const replace = (list: Push[]) => list.map((p) => fresh.find((f) => f.id === p.id) ?? p);
  const here = new Set([...pushes.value, ...unseen.value].map((p) => p.id));
  const added = fresh.filter((p) => !here.has(p.id)).sort((a, b) => b.id - a.id);
  const top = scrollY < 120 && !document.querySelector("dialog[open]");
  unseen.value = replace(top ? unseen.value : [...added, ...unseen.value]);
  pushes.value = [...(top ? added : []), ...replace(pushes.value)];
  for (const p of fresh) grids.get(p.id)?.set(p.cells);
}

function receive(list: Message[]): void {
  const moved = new Map<number, Cell[]>(); // by push
  for (const m of list) {
    if (m.kind === "reset") {
      for (const p of pushes.value) refresh(p.id);
    } else if (m.push !== undefined && m.repo === data.repo) {
      refresh(m.push);
    } else if (m.task) {
      const hit = known.get(m.task.id);
      if (hit) {
        Object.assign(hit.cell, m.task);
        const cells = moved.get(hit.push);
        if (cells) cells.push(hit.cell);
        else moved.set(hit.push, [hit.cell]);
      } else {
        const owner = [...pushes.value, ...unseen.value].find((p) => p.groupId !== "" && p.groupId === m.groupId);
        if (owner) refresh(owner.id);
      }
    }
  }
  for (const [id, cells] of moved) grids.get(id)?.moved(cells);
  // A copy, so that the push's header is drawn again; the cells stay the same objects.
  if (moved.size > 0) pushes.value = pushes.value.map((p) => (moved.has(p.id) ? { ...p } : p));
  title();
}

function title(): void {
  const failures = pushes.value.reduce((n, p) => n + p.cells.filter((c) => bad(c.state)).length, 0);
  document.title = `${failures > 0 ? `[${failures}] ` : ""}${data.repo} · Treeline`;
}

function keys(): void {
  const section = "Pushes";
  bind(section, "j n", "next failure", () => stepFailure(1));
  bind(section, "k p", "previous failure", () => stepFailure(-1));
  const cells = () => shown().flatMap((g) => g.order());
  bind(section, "arrowright", "next task", () => step(cells(), 1));
  bind(section, "arrowleft", "previous task", () => step(cells(), -1));
  bind(section, "arrowdown", "task below", () => stepRow(1));
  bind(section, "arrowup", "task above", () => stepRow(-1));
  bind(section, "enter", "open the selected task", () => selected.value && location.assign(`/tasks/${selected.value}`));
  bind(section, "l", "open its log", () => selected.value && location.assign(`/tasks/${selected.value}?tab=log`));
  bind(section, "r", "run the selected task again", rerunSelected);
  bind(section, "a", "actions on the selected task", toggleActions);
  bind(section, "f", "focus the filter", () => document.querySelector<HTMLElement>("[data-find]")?.focus());
  bind(section, "u q", "only failures", () => only(["failed", "exception"]));
  bind(section, "i", "show or hide what is in progress", () => toggle(["running", "pending"]));
  bind(section, "s", "show or hide what waits for others", () => toggle(["unscheduled"]));
  bind(section, "e", "show all cells of large groups", () => setFilter({ group_state: everything.value ? null : "expanded" }, true));
  addEventListener("treeline:escape", () => select(""));
  addEventListener("popstate", readUrl);
}

export function start(root: HTMLElement): void {
  index(data.pushes);
  root.replaceChildren();
  render(<App />, root);
  keys();
  title();
  onMessages(receive);
}
