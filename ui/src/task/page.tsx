// The task page.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { act, get } from "../shell/api.ts";
import { bootOf, type Artifact, type Message, type Neighbour, type TaskData } from "../shell/data.ts";
import { ActionMenu, toggleActions } from "../shell/actions.tsx";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { copy, Copy, ended, Icon, Status, Waits, When } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";
import { bytes, duration, now } from "../shell/time.ts";
import { query, setQuery } from "../shell/url.ts";
import { LogBox, LogPane } from "../log/page.tsx";
import { Yaml } from "./yaml.tsx";

const TABS = ["summary", "log", "artifacts", "definition", "deps"] as const;
type Tab = (typeof TABS)[number];

const TITLES: Record<Tab, string> = { summary: "Summary", log: "Log", artifacts: "Artifacts", definition: "Definition", deps: "Dependencies" };

const task = signal<TaskData>(bootOf<TaskData>().data);
const tab = signal<Tab>(tabOf());

function tabOf(): Tab {
  const t = query().get("tab") as Tab;
  return TABS.includes(t) ? t : "summary";
}

function show(t: Tab): void {
  tab.value = t;
  setQuery({ tab: t === "summary" ? null : t }, true);
}

function App() {
  const d = task.value;
  return (
    <>
      <Crumbs d={d} />
      <Head d={d} />
      <nav class="tabs" role="tablist" aria-label="Parts of the task">
        {TABS.map((t) => (
          <a
            key={t} role="tab" aria-selected={tab.value === t} href={t === "summary" ? location.pathname : `?tab=${t}`}
            onClick={(e) => {
              if (e.ctrlKey || e.metaKey || e.shiftKey) return;
              e.preventDefault();
              show(t);
            }}
          >
            {TITLES[t]}
            {t === "artifacts" && d.artifacts.length > 0 && <span class="n">{d.artifacts.length}</span>}
            {t === "deps" && d.dependencies.length + d.dependents.length > 0 && (
              <span class="n">{d.dependencies.length + d.dependents.length}{d.moreDependents && "+"}</span>
            )}
          </a>
        ))}
      </nav>
      {tab.value === "summary" && <Summary d={d} />}
      {tab.value === "log" && <LogTab d={d} />}
      {tab.value === "artifacts" && <Artifacts list={d.artifacts} />}
      {tab.value === "definition" && <Definition d={d} />}
      {tab.value === "deps" && <Dependencies d={d} />}
    </>
  );
}

function Crumbs({ d }: { d: TaskData }) {
  return (
    <ol class="crumbs" aria-label="Where this is">
      {d.push && <li><a href={`/jobs?repo=${encodeURIComponent(d.push.repo)}`}>{d.push.repo}</a></li>}
      {d.push && (
        <li>
          <a href={`/jobs?repo=${encodeURIComponent(d.push.repo)}&revision=${d.push.revision}&selectedTaskRun=${d.id}.0`} title={d.push.subject}>
            <span class="mono">{d.push.revision.slice(0, 10)}</span>
          </a>
        </li>
      )}
      <li><a href={`/tasks/groups/${d.groupId}`}>Task group</a></li>
    </ol>
  );
}

function Head({ d }: { d: TaskData }) {
  return (
    <div class="task-head">
      <div class="line">
        <h1>{d.name}</h1>
        <div class="acts">
          {d.acts.filter((a) => a.possible).map((a) => (
            <button
              key={a.name} type="button" class={"button" + (a.name === "cancel" ? " danger" : "")} disabled={!a.allowed}
              aria-describedby={a.why ? "why-" + a.name : undefined} onClick={() => confirmed(a.name, d)}
            >
              <Icon name={a.name === "rerun" ? "rerun" : a.name === "cancel" ? "stop" : "play"} />
              {asked.value === d.id && a.name === "cancel" ? "Cancel it?" : a.label}
            </button>
          ))}
          {d.actions && <ActionMenu group={d.groupId} task={d.id} />}
        </div>
      </div>
      <div class="line">
        <Status state={d.state} text={d.stateText} big />
        <span class="reason">{d.sentence}</span>
      </div>
      {d.acts.filter((a) => a.possible && a.why).map((a) => (
        <p key={a.name} id={"why-" + a.name} class="why">{a.label}: {a.why}</p>
      ))}
    </div>
  );
}

const asked = signal("");

// Cancelling asks once more, in place: the button changes its words.
function confirmed(name: "rerun" | "cancel" | "schedule", d: TaskData): void {
  if (name === "cancel" && asked.value !== d.id) {
    asked.value = d.id;
    setTimeout(() => (asked.value = ""), 4000);
    return;
  }
  asked.value = "";
  void act(name, d.id).then(reload);
}

function Summary({ d }: { d: TaskData }) {
  return (
    <div class="columns">
      <div class="stack">
        {d.waiting.length > 0 && (
          <section class="card" aria-label="Why it does not run yet">
            <header><h2>Why it does not run yet</h2></header>
            <ul class="body waiting"><Waits list={d.waiting} /></ul>
          </section>
        )}
        {d.descriptionHtml && <section class="card"><div class="body"><Html html={d.descriptionHtml} /></div></section>}
        <Runs d={d} />
        {d.artifacts.length > 0 && (
          <section class="card">
            <header><h2>Artifacts</h2></header>
            <ArtifactTable list={d.artifacts.slice(0, 8)} />
            {d.artifacts.length > 8 && <div class="body"><a href="?tab=artifacts">All {d.artifacts.length} artifacts</a></div>}
          </section>
        )}
      </div>
      <Facts d={d} />
    </div>
  );
}

// Html shows Markdown that the server has turned into a few harmless tags.
function Html({ html }: { html: string }) {
  return <div class="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
}

function Runs({ d }: { d: TaskData }) {
  if (d.runs.length === 0) return null;
  return (
    <section class="card">
      <header><h2>Runs</h2></header>
      <ol class="runs">
        {d.runs.toReversed().map((r) => (
          <li key={r.id} aria-current={r.id === d.run && d.runs.length > 1 ? "true" : undefined}>
            <a href={`/tasks/${d.id}/runs/${r.id}`}>Run {r.id}</a>
            <Status state={r.state} text={r.stateText} />
            <span class="num muted small">
              {r.started ? duration((r.ended || now.value) - r.started) : r.ended ? "" : `waiting ${duration(now.value - r.scheduled)}`}
            </span>
            <span class="detail">
              {r.sentence} {r.worker && <>On <span class="mono">{r.worker}</span>. </>}
              <When at={r.ended || r.started || r.scheduled} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Facts({ d }: { d: TaskData }) {
  const first = d.runs[0];
  const last = d.runs[d.runs.length - 1];
  return (
    <section class="card">
      <div class="body">
        <dl class="facts">
          <dt>Task</dt><dd><span class="mono">{d.id}</span> <Copy text={d.id} what="task id" /></dd>
          <dt>Queue</dt><dd class="mono">{d.queue}</dd>
          <dt>Priority</dt><dd>{d.priority}</dd>
          <dt>Created</dt><dd><When at={d.created} /></dd>
          {first && <><dt>Waited</dt><dd class="num">{duration((last!.started || last!.ended || now.value) - last!.scheduled)}</dd></>}
          {last?.started ? <><dt>Ran</dt><dd class="num">{duration((last.ended || now.value) - last.started)}</dd></> : null}
          <dt>Deadline</dt><dd><When at={d.deadline} /></dd>
          <dt>Expires</dt><dd><When at={d.expires} /></dd>
          <dt>Retries left</dt><dd>{d.retriesLeft}</dd>
          <dt>Owner</dt><dd>{d.owner}</dd>
          <dt>Source</dt><dd>{/^https?:\/\//.test(d.source) ? <a href={d.source} rel="noopener noreferrer nofollow">{d.source}</a> : d.source}</dd>
          <dt>Project</dt><dd>{d.project}</dd>
          <dt>Scheduler</dt><dd class="mono">{d.scheduler}</dd>
          {d.tags.length > 0 && <><dt>Tags</dt><dd>{d.tags.map(([k, v]) => <><span class="tag">{k}: {v}</span> </>)}</dd></>}
          {d.routes.length > 0 && <><dt>Routes</dt><dd class="mono">{d.routes.map((r) => <div>{r}</div>)}</dd></>}
          {d.scopes.length > 0 && <><dt>Scopes</dt><dd class="mono">{d.scopes.map((s) => <div>{s}</div>)}</dd></>}
        </dl>
      </div>
    </section>
  );
}

function LogTab({ d }: { d: TaskData }) {
  if (!d.log) {
    return <p class="muted">{d.runs.length === 0 || !d.runs[d.run]?.started ? "The task has not started: there is no log yet." : "This run has left no log."}</p>;
  }
  return <LogTabBox key={d.log} d={d} />;
}

function LogTabBox({ d }: { d: TaskData }) {
  const pane = useRef(new LogPane());
  const data = { taskId: d.id, run: d.run, name: "", bytes: d.log, raw: d.artifacts.find((a) => a.log === d.logPage)?.href ?? d.log, growing: !ended(d.state) };
  return (
    <div class="tab-log">
      <LogBox pane={pane.current} data={data}>
        <a class="button quiet" href={d.logPage}><Icon name="log" />Whole page</a>
      </LogBox>
    </div>
  );
}

const artifactFilter = signal("");

function Artifacts({ list }: { list: Artifact[] }) {
  if (list.length === 0) return <p class="muted">No artifacts yet.</p>;
  const word = artifactFilter.value.toLowerCase();
  const some = list.filter((a) => a.name.toLowerCase().includes(word));
  return (
    <>
      {list.length > 10 && (
        <div class="toolbar">
          <input class="input" type="search" data-find placeholder="Filter by name" aria-label="Filter artifacts" onInput={(e) => (artifactFilter.value = e.currentTarget.value)} />
          <span class="muted small">{some.length} of {list.length}</span>
        </div>
      )}
      <div class="card"><ArtifactTable list={some} /></div>
    </>
  );
}

function ArtifactTable({ list }: { list: Artifact[] }) {
  return (
    <div class="table-box">
      <table class="list">
        <thead><tr><th>Name</th><th class="num">Size</th><th>Type</th><th>Expires</th></tr></thead>
        <tbody>
          {list.map((a) => (
            <tr key={a.name}>
              <td>
                <Icon name={a.log ? "log" : "file"} />{" "}
                {a.present ? <a href={a.log || a.href}>{a.name}</a> : <span class="muted">{a.name} ({a.type === "error" ? "not made" : "on its way"})</span>}
                {a.log && <> <a class="small muted" href={a.href}>raw</a></>}
              </td>
              <td class="num" title={a.sha256 ? `sha256 ${a.sha256}` : undefined}>{bytes(a.size)}</td>
              <td class="muted">{a.contentType}</td>
              <td class="muted nowrap"><When at={a.expires} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Definition({ d }: { d: TaskData }) {
  return (
    <>
      <div class="toolbar">
        <button type="button" class="button" onClick={() => void copy(d.yaml, "the definition")}><Icon name="copy" />Copy</button>
        <a class="button quiet" href={`/api/queue/v1/task/${d.id}`}>JSON</a>
      </div>
      <Yaml text={d.yaml} />
    </>
  );
}

function Dependencies({ d }: { d: TaskData }) {
  return (
    <div class="columns">
      <Neighbours title="Depends on" list={d.dependencies} empty="Depends on nothing." note={d.requires === "all-resolved" ? "Runs when all of them have ended, whatever the outcome." : ""} />
      <Neighbours title="Needed by" list={d.dependents} empty="Nothing depends on it." note={d.moreDependents ? "More tasks depend on it than are shown." : ""} />
    </div>
  );
}

function Neighbours({ title, list, empty, note }: { title: string; list: Neighbour[]; empty: string; note: string }) {
  return (
    <section class="card">
      <header><h2>{title}</h2><span class="muted">{list.length > 0 && list.length}</span></header>
      {list.length === 0 && <p class="body muted">{empty}</p>}
      <table class="list">
        <tbody>
          {list.map((n) => (
            <tr key={n.id}>
              <td><a href={`/tasks/${n.id}`}>{n.name || n.id}</a></td>
              <td class="num"><Status state={n.state} text={n.stateText} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      {note && list.length > 0 && <p class="body muted small">{note}</p>}
    </section>
  );
}

let latest = 0;

async function reload(): Promise<void> {
  const mine = ++latest;
  const run = /\/runs\/(\d+)$/.exec(location.pathname)?.[1];
  try {
    const d = await get<TaskData>(`/ui/api/tasks/${task.value.id}${run ? `?run=${run}` : ""}`);
    if (mine === latest) task.value = d;
  } catch {
    // The header says when the server is away; the page keeps what it knows.
  }
}

let soon: ReturnType<typeof setTimeout> | undefined;

function receive(list: Message[]): void {
  const near = new Set([task.value.id, ...task.value.dependencies.map((n) => n.id), ...task.value.dependents.map((n) => n.id)]);
  if (list.some((m) => m.kind === "reset" || near.has(m.task?.id ?? m.artifact ?? ""))) {
    soon ??= setTimeout(() => {
      soon = undefined;
      void reload();
    }, 100);
  }
}

function keys(): void {
  const section = "Task";
  bind(section, "r", "run it again", () => {
    const a = task.value.acts.find((x) => x.name === "rerun");
    if (!a?.possible) toast(`The task is ${task.value.stateText}; only what has ended can run again.`);
    else if (!a.allowed) toast(a.why, true);
    else confirmed("rerun", task.value);
  });
  bind(section, "a", "actions", toggleActions);
  bind(section, "t", "next tab", () => show(TABS[(TABS.indexOf(tab.value) + 1) % TABS.length]!));
  bind(section, "l", "log", () => show("log"));
  bind(section, "L", "raw log", () => {
    const raw = task.value.artifacts.find((a) => a.log !== "" && a.log === task.value.logPage);
    if (raw) location.assign(raw.href);
    else toast("There is no log yet.");
  });
  bind(section, "y", "copy the link", () => void copy(location.href, "the link"));
  const run = (by: number) => () => {
    const next = task.value.run + by;
    if (task.value.runs.some((r) => r.id === next)) location.assign(`/tasks/${task.value.id}/runs/${next}`);
    else toast(by > 0 ? "This is the last run." : "This is the first run.");
  };
  bind(section, "[", "earlier run", run(-1));
  bind(section, "]", "later run", run(1));
}

function Effects() {
  useEffect(() => {
    const d = task.value;
    document.title = `${d.name}: ${d.stateText} · Treeline`;
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (icon) icon.href = icon.href.replace(/#.*$/, "") + "#" + d.state;
  }, [task.value]);
  return null;
}

export function start(root: HTMLElement): void {
  root.replaceChildren();
  render(<><Effects /><App /></>, root);
  keys();
  addEventListener("popstate", () => (tab.value = tabOf()));
  onMessages(receive);
}
