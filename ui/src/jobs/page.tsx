// The pushes of a repository.
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { toggleActions } from "../shell/actions.tsx";
import { get } from "../shell/api.ts";
import type { Cell, JobsData } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { ended, WORD } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { query, setQuery } from "../shell/url.ts";
import { Bar, everything, filter, only, readUrl, setFilter, toggle } from "./bar.tsx";
import { act, undo } from "./deeds.ts";
import { arrange, matches } from "./filter.ts";
import { JobGrid } from "./grid.ts";
import { beside } from "./layout.ts";
import { api, cellOf, cellsById, data, ensure, needsLook, older, pushes, PushModel, receive, select, selected, unclassified, unseen } from "./model.ts";
import { logPage, nextTab, Panel, rawLog } from "./panel.tsx";
import { clear, focusField, open as pinsOpen, pin, Pinboard, pinned, save, togglePin } from "./pins.tsx";
import { Adding, again, choose, close, isChosen, offer, offering } from "./overlay.tsx";
import { PushView } from "./push.tsx";
import { hideTip, hover } from "./tip.ts";

const folded = signal(new Set((query().get("collapsedPushes") ?? "").split(",").filter(Boolean)));
const said = signal(0); // counts what changed of the selected task

// When this person last looked at this repository, before now.
const SEEN = `treeline.seen.${data.repo}`;
let seen = Number(localStorage.getItem(SEEN)) || 0;
const seenAt = signal(seen);

const fresh = (c: Cell): boolean => seen > 0 && c.ended > seen && ended(c.state);

function remember(): void {
  localStorage.setItem(SEEN, String(Date.now()));
}

function gridOf(box: HTMLElement, push: PushModel): void {
  if (push.grid?.box === box || folded.value.has(String(push.id))) return; // it may have been folded before it was drawn
  push.grid?.stop();
  const grid = new JobGrid(
    box, filter.value,
    {
      select: clicked, open: (id) => window.open(`/tasks/${id}?tab=log`), blank: () => select(""), hover,
      dragged: (ids) => pin(ids), chosen: isChosen, choose,
    },
    pinned, fresh,
  );
  push.grid = grid;
  grid.show(filter.value, everything.value);
  grid.set(push.cells ?? []);
  again(push);
  if (cellsById.get(selected.value)?.push === push) grid.select(selected.value, true);
  look();
}

let anchor = "";

// clicked selects a task; with ctrl it is pinned, with shift all from the last one on are.
function clicked(id: string, e: MouseEvent): void {
  if (e.shiftKey) {
    const grid = cellsById.get(id)?.push.grid;
    const from = anchor || selected.value;
    const ids = grid && from ? grid.between(from, id).filter((x) => cellOf(x)) : [];
    pin(ids.length > 0 ? ids : [id]);
  } else if (e.ctrlKey || e.metaKey) togglePin(id);
  else select(id);
  anchor = id;
}

let frame = 0;
let painted = false;

// look draws what is in view, and reads tasks of pushes that come near it.
function look(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    for (const p of pushes.value) {
      if (!p.grid) continue;
      const at = p.grid.box.getBoundingClientRect();
      if (at.bottom < -innerHeight || at.top > 2 * innerHeight) {
        p.grid.draw();
        continue;
      }
      p.near = performance.now();
      if (p.cells) p.grid.draw();
      else if (p.stats.value.total > 0) void ensure(p).then(() => p.grid?.draw());
    }
    if (painted || !document.querySelector("b.c")) return;
    painted = true;
    requestAnimationFrame(() => performance.mark("treeline-cells")); // how fast the page is: see make bench-ui
  });
}

const unfolded = (): PushModel[] => pushes.value.filter((p) => !folded.value.has(String(p.id)));

const shown = (): PushModel[] => unfolded().filter((p) => p.grid);

// drawnCells are the tasks drawn as cells, in reading order.
const drawnCells = (): Cell[] => shown().flatMap((p) => p.grid!.layout.order.filter((c) => !c.ghost));

// passing are all tasks of a push that pass the filter, in reading order, drawn as cells or not.
const passing = (p: PushModel): Cell[] => arrange((p.cells ?? []).filter((c) => matches(c, filter.value))).flatMap((r) => r.groups.flatMap((g) => g.cells));

// step goes to the next of a list, round and round.
function step(list: Cell[], by: number): void {
  if (list.length === 0) return;
  const at = list.findIndex((c) => c.id === selected.value);
  select(list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length]!.id);
}

// stepFailure goes to the next failure that nobody has classified, also in pushes whose tasks are not here yet.
async function stepFailure(by: number): Promise<void> {
  const list = unfolded().filter((p) => p.stats.value.unclassified > 0 || cellsById.get(selected.value)?.push === p);
  if (by < 0) list.reverse();
  const here = list.findIndex((p) => p === cellsById.get(selected.value)?.push);
  // The push of the selection is looked at first from there on, and last up to there.
  const order = here < 0 ? list : [...list.slice(here), ...list.slice(0, here), list[here]!];
  for (let i = 0; i < order.length; i++) {
    const p = order[i]!;
    if (!p.cells) await ensure(p);
    let cells = passing(p);
    if (by < 0) cells.reverse();
    const at = cells.findIndex((c) => c.id === selected.value);
    if (at >= 0) cells = i === 0 && here >= 0 ? cells.slice(at + 1) : cells.slice(0, at + 1);
    const next = cells.find(needsLook);
    if (next) return select(next.id);
  }
  toast("No unclassified failure among the shown tasks.");
}

function stepRow(by: number): void {
  const list = shown();
  const here = list.findIndex((p) => p === cellsById.get(selected.value)?.push);
  if (here < 0) return step(drawnCells(), by);
  const next = beside(list[here]!.grid!.layout, selected.value, by);
  if (next) return select(next.id);
  for (let i = here + by; i >= 0 && i < list.length; i += by) {
    const cells = list[i]!.grid!.layout.order.filter((c) => !c.ghost);
    if (cells.length > 0) return select(cells[by > 0 ? 0 : cells.length - 1]!.id);
  }
}

// stepPush goes to the push above or below the one that is at the top of the view.
function stepPush(by: number): void {
  const tops = pushes.value.map((p) => ({ p, top: document.getElementById(`push-${p.id}`)?.getBoundingClientRect().top ?? 0 }));
  const next = by > 0 ? tops.find((t) => t.top > 120) : tops.findLast((t) => t.top < 90);
  const to = next && document.getElementById(`push-${next.p.id}`);
  if (!to) return;
  scrollBy({ top: to.getBoundingClientRect().top - 100, behavior: "instant" });
  to.focus({ preventScroll: true });
}

const HINT = "Select a task first: j goes to the next failure.";

function withSelected(f: (c: Cell) => void): () => void {
  return () => {
    const c = cellOf(selected.value);
    if (c) f(c);
    else toast(HINT);
  };
}

function rerun(c: Cell): void {
  if (!ended(c.state)) toast(`${c.name} is ${WORD[c.state]}; only what has ended can run again.`);
  else void act("rerun", [c.id], () => `${c.name} runs again.`);
}

function pinAnd(name: "bug" | "note"): (c: Cell) => void {
  return (c) => {
    pin([c.id]);
    focusField(name);
  };
}

function App() {
  const list = pushes.value;
  void seenAt.value;
  return (
    <>
      <h1 class="visually-hidden">Pushes of {data.repo}</h1>
      <Bar />
      <div class="pushes">
        {unseen.value.length > 0 && (
          <button type="button" class="button primary new-pushes" onClick={showUnseen}>{plural(unseen.value.length, "new push", "new pushes")}</button>
        )}
        {list.length === 0 && <p class="muted">No push matches. Take a filter away, or push something.</p>}
        {list.map((p) => (
          <PushView
            key={p.id} repo={data.repo} push={p} folded={folded.value.has(String(p.id))} fold={() => fold(p.id)} grid={gridOf} filter={() => filter.value}
            fresh={(of) => (of.cells ?? []).reduce((n, c) => n + (fresh(c) ? 1 : 0), 0)}
          />
        ))}
        {older.value && (
          <p class="older">
            <button type="button" class="button" data-older="10" onClick={() => void loadOlder(10)}>10 older pushes</button>
            <button type="button" class="button" data-older="20" onClick={() => void loadOlder(20)}>20</button>
            <button type="button" class="button" data-older="50" onClick={() => void loadOlder(50)}>50</button>
          </p>
        )}
      </div>
      <Dock />
    </>
  );
}

function Dock() {
  const id = selected.value;
  if (!id && !pinsOpen.value && !offering.value) return null;
  return (
    <div class="dock">
      {offering.value && <Adding />}
      {pinsOpen.value && <Pinboard />}
      {id && <Panel id={id} version={said.value} />}
    </div>
  );
}

function fold(id: number): void {
  const next = new Set(folded.value);
  if (!next.delete(String(id))) {
    next.add(String(id));
    const p = pushes.value.find((x) => x.id === id);
    p?.grid?.stop();
    if (p) p.grid = null;
  }
  folded.value = next;
  setQuery({ collapsedPushes: [...next].join(",") });
}

function showUnseen(): void {
  pushes.value = [...unseen.value, ...pushes.value];
  unseen.value = [];
  scrollTo({ top: 0 });
}

async function loadOlder(n: number): Promise<void> {
  const last = pushes.value[pushes.value.length - 1];
  const more = await get<JobsData>(api({ before: last?.id ?? 0, count: n }));
  const here = new Set(pushes.value.map((p) => p.id));
  pushes.value = [...pushes.value, ...more.pushes.filter((p) => !here.has(p.id)).map((p) => new PushModel(p))];
  older.value = more.older;
  requestAnimationFrame(readUrl);
}

function title(): void {
  const n = unclassified();
  const one = pushes.value.length === 1 && query().has("revision") ? pushes.value[0] : undefined;
  const head = one ? `${one.stats.value.percent}% - ` : "";
  const tail = one ? `: ${one.info.value.message.split("\n", 1)[0]}` : "";
  document.title = `${head}${n > 0 ? `[${n}] ` : ""}${data.repo}${tail} · Treeline`;
}

const findBox = (): HTMLInputElement | null => document.querySelector<HTMLInputElement>("[data-find]");

function keys(): void {
  const section = "Pushes";
  bind(section, "j n", "next unclassified failure", () => void stepFailure(1));
  bind(section, "k p", "previous unclassified failure", () => void stepFailure(-1));
  bind(section, "arrowright", "next task", () => step(drawnCells(), 1));
  bind(section, "arrowleft", "previous task", () => step(drawnCells(), -1));
  bind(section, "arrowdown", "task below", () => stepRow(1));
  bind(section, "arrowup", "task above", () => stepRow(-1));
  bind(section, "]", "next push", () => stepPush(1));
  bind(section, "[", "previous push", () => stepPush(-1));
  bind(section, "+", "add new jobs to the push of the selected task, or to the first one", () => {
    const p = cellsById.get(selected.value)?.push ?? shown().find((x) => x.info.value.groupId);
    if (p) void offer(p);
    else toast("No push here has a task group to add jobs to.");
  });
  bind(section, "enter", "open the selected task", () => selected.value && location.assign(`/tasks/${selected.value}`));
  bind(section, "r", "run the selected task again", withSelected(rerun));
  bind(section, "l", "open its log", withSelected((c) => location.assign(logPage() || `/tasks/${c.id}?tab=log`)));
  bind(section, "L", "open its raw log", withSelected((c) => location.assign(rawLog() || `/tasks/${c.id}?tab=log`)));
  bind(section, "a", "actions on the selected task", toggleActions);
  bind(section, "space x", "pin the selected task, or unpin it", withSelected((c) => togglePin(c.id)));
  bind(section, "b", "pin the selected task and write a bug", withSelected(pinAnd("bug")));
  bind(section, "c", "pin the selected task and write a comment", withSelected(pinAnd("note")));
  bind(section, "ctrl+enter", "classify what is pinned", () => void save());
  bind(section, "ctrl+shift+u", "clear the pinboard", clear);
  bind(section, "ctrl+backspace", "take back the class of the selected task", withSelected((c) => (c.said ? void undo([c.said.id]) : toast(`${c.name} is not classified.`))));
  bind(section, "t", "next tab of the details", nextTab);
  bind(section, "f", "focus the filter", () => findBox()?.focus());
  bind(section, "ctrl+shift+f", "clear the filter's text", () => {
    if (findBox()) findBox()!.value = "";
    setFilter({ searchStr: null }, true);
  });
  bind(section, "u", "only unclassified failures", () => only(["testfailed", "exception"], "unclassified"));
  bind(section, "q", "only failures, also classified, retried and cancelled ones", () => only(["testfailed", "exception", "retry", "usercancel"], null));
  bind(section, "i", "show or hide what is in progress", () => toggle(["running", "pending"]));
  bind(section, "s", "show or hide what waits for others", () => toggle(["unscheduled"]));
  bind(section, "e", "open or close the group of the selected task, or all groups", () => {
    const hit = cellsById.get(selected.value);
    if (hit) hit.push.grid?.toggleOf(hit.cell);
    else setFilter({ group_state: everything.value ? null : "expanded" }, true);
  });
  addEventListener("treeline:escape", () => {
    hideTip();
    if (offering.value) close();
    else select("");
  });
  addEventListener("popstate", readUrl);
}

function visibility(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") return remember();
    seen = Number(localStorage.getItem(SEEN)) || seen;
    seenAt.value = seen;
    for (const p of pushes.value) p.grid?.repaintAll();
  });
  addEventListener("pagehide", remember);
}

// first selects what the URL names, as Treeherder's links do.
function first(): void {
  const wanted = (query().get("selectedTaskRun") ?? query().get("selectedJob") ?? "").slice(0, 22);
  if (wanted && cellOf(wanted)) requestAnimationFrame(() => select(wanted));
}

export function start(root: HTMLElement): void {
  root.replaceChildren();
  render(<App />, root);
  keys();
  visibility();
  effect(title);
  onMessages((list) => {
    receive(list);
    if (list.some((m) => m.said?.task === selected.value)) said.value++;
  });
  addEventListener("scroll", () => {
    hideTip();
    look();
  }, { passive: true });
  addEventListener("resize", look, { passive: true });
  if (filter.value.paths.length > 0) readUrl();
  first();
}
