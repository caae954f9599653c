// A task group: tiles by state, and its tasks as a table, on a time line, as a graph of kinds, and in numbers.
import { render } from "preact";
import { post, Refused } from "../shell/api.ts";
import { ActionMenu, toggleActions } from "../shell/actions.tsx";
import { bootOf, type State } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { Copy, Icon, STATES, WORD } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";
import { setQuery } from "../shell/url.ts";
import { useEffect, useRef, useState } from "preact/hooks";
import type { GroupAct } from "./data.ts";
import { GraphView } from "./graphview.tsx";
import { begin, broken, choose, chooseKind, chosen, counts, group, kind, listed, look, open, receive, refresh, relist, someBroken, someOpen, state, text, view, VIEWS } from "./model.ts";
import { arm, armed, mayTell, tell } from "./notify.ts";
import { StatsView } from "./statsview.tsx";
import { Table } from "./tableview.tsx";
import { onCanvas, TimelineView } from "./timelineview.tsx";

function App() {
  const g = group.value;
  return (
    <>
      <ol class="crumbs" aria-label="Where this is">
        {g.repo ? (
          <>
            <li><a href={`/jobs?repo=${encodeURIComponent(g.repo)}`}>{g.repo}</a></li>
            <li><a class="mono" href={`/jobs?repo=${encodeURIComponent(g.repo)}&revision=${g.revision}`}>{g.revision.slice(0, 10)}</a></li>
          </>
        ) : <li><a href="/tasks/groups">Task groups</a></li>}
        <li>Task group</li>
      </ol>
      <div class="task-head">
        <div class="line">
          <h1>{g.title}</h1>
          {g.sealed && <span class="tag">sealed</span>}
          <span class="muted mono small">{g.id} <Copy text={g.id} what="group id" /></span>
          <div class="acts">
            <Notify />
            {g.acts.map((a) => (a.name !== "rerun" || someBroken.value) && <Act key={a.name} a={a} />)}
            {g.actions && <ActionMenu group={g.id} />}
          </div>
        </div>
      </div>
      <Tiles />
      <Tools />
      {g.cut && <p class="notice"><Icon name="warning" />The group is larger than this page shows.</p>}
      {view.value === "table" && <Table />}
      {view.value === "timeline" && <TimelineView />}
      {view.value === "graph" && <GraphView />}
      {view.value === "stats" && <StatsView />}
    </>
  );
}

function Tiles() {
  const n = counts.value;
  return (
    <div class="tiles">
      {STATES.map((s) => (
        <button key={s} type="button" class={"tile" + (n[s] ? "" : " zero")} aria-pressed={state.value === s} onClick={() => choose(s)}>
          <b>{(n[s] ?? 0).toLocaleString()}</b>
          <span class={`status st-${s}`}><Icon name={"st-" + s} />{WORD[s]}</span>
        </button>
      ))}
    </div>
  );
}

function Tools() {
  const g = group.value;
  const shown = listed.value.length;
  return (
    <div class="toolbar">
      <input
        class="input" type="search" data-find placeholder="Filter by name or queue" aria-label="Filter tasks" defaultValue={text.value}
        onInput={(e) => {
          text.value = e.currentTarget.value;
          setQuery({ q: text.value });
          relist();
        }}
      />
      {kind.value && <button type="button" class="chip" aria-pressed="true" onClick={() => chooseKind("")}>kind {kind.value} ×</button>}
      <span class="muted small num grow">{shown === g.cells.length ? `${shown.toLocaleString()} tasks` : `${shown.toLocaleString()} of ${g.cells.length.toLocaleString()} tasks`}</span>
      <a class="button quiet" href={`/tasks/groups/${g.id}/trace`} title="A waterfall, with why each task waited">Trace</a>
      <a class="button quiet" href={`/tasks/groups/${g.id}/tasks.csv`}>CSV</a>
      <a class="button quiet" href={`/tasks/groups/${g.id}/profile.json`} title="For profiler.firefox.com">Profile</a>
      <span class="seg" role="group" aria-label="View">
        {VIEWS.map((v) => (
          <button key={v} type="button" aria-pressed={view.value === v} onClick={() => look(v)}>{v === "stats" ? "numbers" : v}</button>
        ))}
      </span>
    </div>
  );
}

function Notify() {
  if (!mayTell() || !someOpen.value) return null;
  return (
    <button type="button" class="button quiet" data-notify aria-pressed={armed.value} onClick={() => void arm(group.value.id, !armed.value)}>
      {armed.value ? "You will be told when it ends" : "Tell me when it ends"}
    </button>
  );
}

// Act asks in place, with how many tasks it touches.
function Act({ a }: { a: GroupAct }) {
  const [asking, ask] = useState(false);
  const [busy, setBusy] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const yes = useRef<HTMLButtonElement>(null);
  const asked = useRef(false);
  useEffect(() => {
    if (asking) yes.current?.focus();
    else if (asked.current) opener.current?.focus(); // where the keyboard was before
    asked.current = asking;
  }, [asking]);
  if (!a.allowed) {
    return (
      <span class="act">
        <button type="button" class="button" disabled aria-describedby={`why-${a.name}`}>{a.label}</button>
        <span class="why" id={`why-${a.name}`}>{a.label}: {a.why}</span>
      </span>
    );
  }
  if (!asking) return <button type="button" class="button" data-act={a.name} ref={opener} onClick={() => ask(true)}>{a.label}…</button>;
  const n = open.value;
  const asks = a.name === "rerun" ? `Run ${broken.value.toLocaleString()} ${broken.value === 1 ? "task that" : "tasks that"} failed again?` : a.name === "cancel" ? a.asks.replace(/(cancel) .*\?$/i, `$1 ${n.toLocaleString()} ${n === 1 ? "task that has" : "tasks that have"} not ended?`) : a.asks;
  return (
    <span
      class={"confirm" + (a.name === "rerun" ? " calm" : "")} role="alertdialog" aria-label={a.label} aria-describedby={`asks-${a.name}`}
      onKeyDown={(e) => {
        if (e.key !== "Escape") return;
        e.stopPropagation();
        ask(false);
      }}
    >
      <span id={`asks-${a.name}`}>{asks}</span>
      <button
        type="button" class={"button " + (a.name === "rerun" ? "primary" : "danger")} data-yes={a.name} disabled={busy} ref={yes}
        onClick={async () => {
          setBusy(true);
          try {
            const { message } = await post<{ message: string }>(`/tasks/groups/${group.value.id}/${a.name}`, new URLSearchParams({ csrf: bootOf().csrf, seal: "1" }));
            toast(message);
            ask(false);
            refresh();
          } catch (error) {
            toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
          }
          setBusy(false);
        }}
      >
        {a.name === "cancel" && !group.value.sealed ? "Seal and cancel" : a.label}
      </button>
      <button type="button" class="button quiet" onClick={() => ask(false)}>No</button>
    </span>
  );
}

function keys(): void {
  const section = "Task group";
  STATES.forEach((s: State, i) => bind(section, String(i + 1), `only ${WORD[s]}, or all`, () => choose(s)));
  bind(section, "a", "actions", toggleActions);
  bind(section, "v", "next view", () => look(VIEWS[(VIEWS.indexOf(view.value) + 1) % VIEWS.length]!));
  bind(section, "+", "zoom in (time line)", () => onCanvas((c) => c.zoom(0.6)));
  bind(section, "-", "zoom out (time line)", () => onCanvas((c) => c.zoom(1 / 0.6)));
  bind(section, "f", "fit (time line)", () => onCanvas((c) => c.fit()));
  const move = (by: number) => () => {
    const n = listed.value.length;
    if (n > 0) chosen.value = chosen.value < 0 ? 0 : Math.min(n - 1, Math.max(0, chosen.value + by));
  };
  bind(section, "j arrowdown", "next row", move(1));
  bind(section, "k arrowup", "previous row", move(-1));
  bind(section, "enter", "open the row", () => {
    const c = listed.value[chosen.value];
    if (c) location.assign(`/tasks/${c.id}`);
  });
}

export function start(root: HTMLElement): void {
  begin();
  root.replaceChildren();
  render(<App />, root);
  keys();
  onMessages((list) => receive(list, () => tell(group.value)));
}
