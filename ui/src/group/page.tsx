// A task group: tiles by state, a table, and when each task waited and ran.
import { render, type RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import { bootOf, type Cell, type GroupData, type Message, type State } from "../shell/data.ts";
import { ActionMenu, toggleActions } from "../shell/actions.tsx";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { bad, Copy, Icon, STATES, WORD } from "../shell/look.tsx";
import { Rows } from "../shell/rows.ts";
import { duration } from "../shell/time.ts";
import { query, setQuery } from "../shell/url.ts";
import { count } from "../jobs/filter.ts";
import { COLUMNS, select, type Column } from "./table.ts";
import { axis, span } from "./timeline.ts";

const group = signal<GroupData>(bootOf<GroupData>().data);
const view = signal<"table" | "timeline">(query().get("view") === "timeline" ? "timeline" : "table");
const state = signal<State | "">((query().get("state") ?? "") as State | "");
const text = signal(query().get("q") ?? "");
const sort = signal(query().get("sort") ?? "");
const chosen = signal(-1);

const visible = (): Cell[] => select(group.value.cells, state.value, text.value, sort.value);

function App() {
  const g = group.value;
  const n = count(g.cells);
  const list = visible();
  return (
    <>
      {g.repo && (
        <ol class="crumbs" aria-label="Where this is">
          <li><a href={`/jobs?repo=${encodeURIComponent(g.repo)}`}>{g.repo}</a></li>
          <li><a class="mono" href={`/jobs?repo=${encodeURIComponent(g.repo)}&revision=${g.revision}`}>{g.revision.slice(0, 10)}</a></li>
          <li>Task group</li>
        </ol>
      )}
      <div class="task-head">
        <div class="line">
          <h1>{g.title}</h1>
          {g.sealed && <span class="tag">sealed</span>}
          <span class="muted mono small">{g.id} <Copy text={g.id} what="group id" /></span>
          {g.actions && <div class="acts"><ActionMenu group={g.id} /></div>}
        </div>
      </div>
      <div class="tiles">
        {STATES.map((s) => (
          <button key={s} type="button" class={"tile" + (n[s] ? "" : " zero")} aria-pressed={state.value === s} onClick={() => choose(s)}>
            <b>{(n[s] ?? 0).toLocaleString()}</b>
            <span class={`status st-${s}`}><Icon name={"st-" + s} />{WORD[s]}</span>
          </button>
        ))}
      </div>
      <div class="toolbar">
        <input
          class="input" type="search" data-find placeholder="Filter by name or queue" aria-label="Filter tasks" defaultValue={text.value}
          onInput={(e) => {
            text.value = e.currentTarget.value;
            setQuery({ q: text.value });
          }}
        />
        <span class="muted small num grow">{list.length === g.cells.length ? `${list.length.toLocaleString()} tasks` : `${list.length.toLocaleString()} of ${g.cells.length.toLocaleString()} tasks`}</span>
        <span class="seg" role="group" aria-label="View">
          {(["table", "timeline"] as const).map((v) => (
            <button key={v} type="button" aria-pressed={view.value === v} onClick={() => look(v)}>{v}</button>
          ))}
        </span>
      </div>
      {g.cut && <p class="notice"><Icon name="warning" />The group is larger than this page shows.</p>}
      {view.value === "table" ? <Table list={list} /> : <Timeline list={list} />}
    </>
  );
}

function choose(s: State): void {
  state.value = state.value === s ? "" : s;
  setQuery({ state: state.value }, true);
}

function look(v: "table" | "timeline"): void {
  view.value = v;
  setQuery({ view: v === "table" ? null : v }, true);
}

function order(c: Column): void {
  sort.value = sort.value === c.key ? "-" + c.key : sort.value === "-" + c.key ? "" : c.key;
  setQuery({ sort: sort.value });
}

// useRows keeps a window of rows in step with a list.
function useRows(list: Cell[], height: number, draw: (c: Cell, row: HTMLElement) => void): RefObject<HTMLDivElement | null> {
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<Rows>(null);
  const now = useRef(list);
  now.current = list;
  useEffect(() => {
    rows.current = new Rows(box.current!, {
      height, overscan: 20,
      draw: (i) => {
        const row = document.createElement("div");
        row.className = "v-row" + (i === chosen.value ? " sel" : "");
        row.setAttribute("role", "row");
        row.style.height = `${height}px`;
        draw(now.current[i]!, row);
        return row;
      },
    }, "", "v-lines");
    return () => rows.current?.stop();
  }, []);
  useEffect(() => {
    rows.current?.set(list.length);
    if (chosen.value >= 0 && chosen.value < list.length) rows.current?.reveal(chosen.value);
  }, [list, chosen.value]);
  return box;
}

function cell(row: HTMLElement, name: string, content: string | Node, title = ""): void {
  const e = document.createElement("span");
  e.className = name;
  e.setAttribute("role", "cell");
  if (title) e.title = title;
  e.append(content);
  row.append(e);
}

function linkTo(c: Cell): HTMLElement {
  const a = document.createElement("a");
  a.href = `/tasks/${c.id}`;
  a.textContent = c.name;
  a.title = c.name;
  return a;
}

function mark(s: State): HTMLElement {
  const e = document.createElement("span");
  e.className = `status st-${s}`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${bootOf().icons}#st-${s}`);
  svg.append(use);
  e.append(svg, WORD[s]);
  return e;
}

function Table({ list }: { list: Cell[] }) {
  const box = useRows(list, 32, (c, row) => {
    cell(row, "", linkTo(c));
    cell(row, "", mark(c.state));
    cell(row, "opt muted mono", c.queue, c.queue);
    cell(row, "opt num", c.scheduled ? duration((c.started || c.ended || Date.now()) - c.scheduled) : "");
    cell(row, "opt num", c.started ? duration((c.ended || Date.now()) - c.started) : "");
    cell(row, "opt muted", c.ended ? new Date(c.ended).toLocaleTimeString() : "");
  });
  return (
    <div class="card vtable" role="table" aria-rowcount={list.length}>
      <div class="v-head" role="row">
        {COLUMNS.map((c) => {
          const dir = sort.value === c.key ? "ascending" : sort.value === "-" + c.key ? "descending" : undefined;
          return (
            <span key={c.key} role="columnheader" class={c.key === "name" || c.key === "state" ? "" : "opt"} aria-sort={dir}>
              <button type="button" onClick={() => order(c)}>{c.title}{dir === "ascending" ? " ↑" : dir ? " ↓" : ""}</button>
            </span>
          );
        })}
      </div>
      <div class="v-body" ref={box} />
      {list.length === 0 && <p class="body muted">No task matches.</p>}
    </div>
  );
}

function Timeline({ list }: { list: Cell[] }) {
  const all = list.filter((c) => c.scheduled > 0).sort((a, b) => a.scheduled - b.scheduled || a.started - b.started);
  const whole = span(all, Date.now());
  const box = useRows(all, 26, (c, row) => {
    cell(row, "", linkTo(c));
    const lane = document.createElement("span");
    lane.className = "lane";
    lane.setAttribute("role", "cell");
    const bar = (from: number, to: number, name: string) => {
      const i = document.createElement("i");
      i.className = name;
      i.style.left = `${((from - whole.from) / whole.length) * 100}%`;
      i.style.width = `${Math.max(0, (to - from) / whole.length) * 100}%`;
      lane.append(i);
    };
    const end = c.ended || whole.to;
    bar(c.scheduled, c.started || end, "wait");
    if (c.started) bar(c.started, end, c.state);
    lane.title = `${WORD[c.state]}; waited ${duration((c.started || end) - c.scheduled)}${c.started ? `, ran ${duration(end - c.started)}` : ""}`;
    row.append(lane);
  });
  return (
    <div class="card vtable time" role="table" aria-rowcount={all.length}>
      <div class="v-head" role="row">
        <span role="columnheader">Task</span>
        <span class="lane axis" role="columnheader" aria-label="Time since the first task was scheduled">
          {axis(whole.length).map((t) => <span key={t} style={{ left: `${(t / whole.length) * 100}%` }}>{t === 0 ? "0" : duration(t)}</span>)}
        </span>
      </div>
      <div class="v-body" ref={box} />
      {all.length === 0 && <p class="body muted">Nothing has been scheduled yet.</p>}
    </div>
  );
}

let soon: ReturnType<typeof setTimeout> | undefined;

function reload(): void {
  soon ??= setTimeout(async () => {
    soon = undefined;
    try {
      group.value = await get<GroupData>(`/ui/api/groups/${group.value.id}`);
    } catch {
      // The header says when the server is away; the page keeps what it knows.
    }
  }, 150);
}

function receive(list: Message[]): void {
  const cells = new Map(group.value.cells.map((c) => [c.id, c]));
  let changed = false;
  for (const m of list) {
    if (m.kind === "reset") reload();
    if (!m.task || m.groupId !== group.value.id) continue;
    const c = cells.get(m.task.id);
    if (c) {
      Object.assign(c, m.task);
      changed = true;
    } else reload();
  }
  if (changed) group.value = { ...group.value };
  title();
}

function title(): void {
  const failures = group.value.cells.filter((c) => bad(c.state)).length;
  document.title = `${failures > 0 ? `[${failures}] ` : ""}${group.value.title} · Treeline`;
}

function keys(): void {
  const section = "Task group";
  STATES.forEach((s, i) => bind(section, String(i + 1), `only ${WORD[s]}, or all`, () => choose(s)));
  bind(section, "a", "actions", toggleActions);
  bind(section, "v", "table or timeline", () => look(view.value === "table" ? "timeline" : "table"));
  const move = (by: number) => () => {
    const n = visible().length;
    if (n > 0) chosen.value = chosen.value < 0 ? 0 : Math.min(n - 1, Math.max(0, chosen.value + by));
  };
  bind(section, "j arrowdown", "next row", move(1));
  bind(section, "k arrowup", "previous row", move(-1));
  bind(section, "enter", "open the row", () => {
    const c = visible()[chosen.value];
    if (c) location.assign(`/tasks/${c.id}`);
  });
}

export function start(root: HTMLElement): void {
  root.replaceChildren();
  render(<App />, root);
  keys();
  title();
  onMessages(receive);
  addEventListener("popstate", () => {
    state.value = (query().get("state") ?? "") as State | "";
    view.value = query().get("view") === "timeline" ? "timeline" : "table";
  });
}
