// The details of the selected task, below the grid: what one wants to know without leaving it.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { ActionMenu } from "../shell/actions.tsx";
import { get, post, Refused } from "../shell/api.ts";
import { BugList, draft, openFiling, suggestions, type Suggestions } from "../shell/bugs.tsx";
import type { Cell, FailureLine, Message, Said, TaskData } from "../shell/data.ts";
import { onMessages } from "../shell/live.ts";
import { Copy, ended, Icon, Status, Waits, When } from "../shell/look.tsx";
import { duration, now } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { text } from "../log/ansi.ts";
import { tailOf } from "../log/stream.ts";
import { act, retrigger, undo } from "./deeds.ts";
import { classOf } from "./filter.ts";
import { CLASS_WORD } from "./grid.ts";
import { cellOf, cellsById, data, select } from "./model.ts";
import { pinned, pinWith, togglePin } from "./pins.tsx";

const TAIL_LINES = 14;
const TAIL_BYTES = 6000;

interface Similar {
  push: number;
  revision: string;
  passed: number;
  failed: number;
  lost: number;
  seconds: number;
  task: string;
}

const TABS = ["failure", "artifacts", "classification", "similar", "runs"] as const;
type Tab = (typeof TABS)[number];
const TITLE: Record<Tab, string> = { failure: "Failure and log", artifacts: "Artifacts", classification: "Classification", similar: "Similar tasks", runs: "Runs" };

const details = signal<TaskData | null>(null);
const problem = signal("");
const tail = signal("");
const lines = signal<FailureLine[]>([]);
const reading = signal(false);
const suggested = signal<Suggestions | null>(null);
const said = signal<(Said & { undoneBy: string })[] | null>(null);
const similar = signal<Similar[] | null>(null);
const tab = signal<Tab>("failure");
const height = signal(Number(localStorage.getItem("treeline.dock")) || 0); // pixels, 0: the usual

let wanted = "";
let running: AbortController | undefined;

export function nextTab(): void {
  tab.value = TABS[(TABS.indexOf(tab.value) + 1) % TABS.length]!;
}

/** The address of the log of the selected task, or of its text alone; "" without. */
export const logPage = (): string => details.value?.logPage ?? "";
export const rawLog = (): string => details.value?.artifacts.find((a) => a.log !== "" && a.log === details.value?.logPage)?.href ?? "";

/** Loads the details of a task; an earlier request still under way is dropped. */
async function load(id: string): Promise<void> {
  running?.abort();
  const mine = (running = new AbortController());
  try {
    const d = await get<TaskData>(`/ui/api/tasks/${id}`, mine.signal);
    if (wanted !== id) return;
    details.value = d;
    problem.value = "";
    const failed = d.state === "failed" || d.state === "exception";
    const [end, found] = await Promise.all([d.log ? lastLines(d.log, mine.signal) : "", failed && d.run >= 0 ? failureOf(id, d.run, mine.signal) : null]);
    if (wanted !== id) return;
    tail.value = end;
    lines.value = found?.lines ?? [];
    reading.value = found?.reading ?? false;
    if (lines.value.length > 0) void suggest(id, d.run, mine.signal);
    if (reading.value) setTimeout(() => wanted === id && void load(id), 1500);
  } catch (error) {
    if (mine.signal.aborted || wanted !== id) return;
    problem.value = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
}

// suggest asks which bugs it could be: first those that people gave before, then the tracker, which may take a while.
async function suggest(id: string, run: number, signal: AbortSignal): Promise<void> {
  try {
    for (const search of [false, true]) {
      const found = await suggestions(id, run, search, signal);
      if (wanted !== id) return;
      suggested.value = found;
      if (!found.tracker.name) return;
    }
  } catch {
    // Without them the lines are there.
  }
}

export const failureOf = (id: string, run: number, signal?: AbortSignal): Promise<{ lines: FailureLine[]; reading: boolean }> =>
  get(`/ui/api/jobs/failure/${id}?run=${run}`, signal);

async function lastLines(path: string, signal: AbortSignal): Promise<string> {
  const bytes = await tailOf(path, TAIL_BYTES, signal);
  return bytes.trimEnd().split("\n").slice(-TAIL_LINES).map(text).join("\n");
}

async function loadTab(id: string, which: Tab): Promise<void> {
  try {
    if (which === "classification") {
      const found = (await get<{ said: (Said & { undoneBy: string })[] }>(`/ui/api/jobs/said/${id}`)).said;
      if (wanted === id) said.value = found;
    }
    if (which === "similar") {
      const name = cellOf(id)?.name ?? details.value?.name ?? "";
      const found = (await get<{ similar: Similar[] }>(`/ui/api/jobs/similar?repo=${encodeURIComponent(data.repo)}&label=${encodeURIComponent(name)}`)).similar;
      if (wanted === id) similar.value = found;
    }
  } catch (error) {
    if (wanted === id) problem.value = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
}

let again: ReturnType<typeof setTimeout> | undefined;

onMessages((list: Message[]) => {
  if (wanted === "") return;
  if (list.some((m) => m.said?.task === wanted)) void loadTab(wanted, tab.value);
  if (!list.some((m) => m.kind === "reset" || (m.kind === "failures-changed" && m.groupId === details.value?.groupId) || m.task?.id === wanted || m.artifact === wanted)) return;
  clearTimeout(again);
  again = setTimeout(() => {
    if (wanted !== "") void load(wanted);
  }, 150);
});

// drag makes the panel higher or lower.
function drag(e: PointerEvent): void {
  const box = (e.currentTarget as HTMLElement).parentElement!;
  const bottom = box.getBoundingClientRect().bottom;
  const move = (m: PointerEvent) => setHeight(bottom - m.clientY);
  const end = () => {
    removeEventListener("pointermove", move);
    localStorage.setItem("treeline.dock", String(height.value));
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end, { once: true });
  e.preventDefault();
}

const setHeight = (to: number): void => {
  height.value = Math.round(Math.min(innerHeight * 0.85, Math.max(120, to)));
};

function sizeKeys(e: KeyboardEvent): void {
  if (e.key !== "ArrowUp" && e.key !== "ArrowDown") return;
  e.preventDefault();
  e.stopPropagation();
  const box = (e.currentTarget as HTMLElement).parentElement!;
  setHeight(box.getBoundingClientRect().height + (e.key === "ArrowUp" ? 24 : -24));
  localStorage.setItem("treeline.dock", String(height.value));
}

export function Panel({ id, version }: { id: string; version: number }) {
  void version; // drawn again when what was said of the task changes
  useEffect(() => {
    wanted = id;
    details.value = null;
    said.value = similar.value = null;
    problem.value = tail.value = "";
    lines.value = [];
    suggested.value = null;
    const timer = setTimeout(() => void load(id), 120);
    return () => {
      clearTimeout(timer);
      running?.abort();
      wanted = "";
    };
  }, [id]);
  useEffect(() => {
    if (tab.value === "classification" || tab.value === "similar") void loadTab(id, tab.value);
  }, [id, tab.value]);
  const d = details.value?.id === id ? details.value : null;
  const c = cellOf(id);
  return (
    <aside class="panel" aria-label="Selected task" style={height.value ? { height: `${height.value}px` } : {}}>
      <div
        class="grip" role="separator" aria-orientation="horizontal" aria-label="Height of the panel" tabIndex={0} aria-valuenow={height.value || 40} aria-valuemin={0} aria-valuemax={2000}
        onPointerDown={drag} onKeyDown={sizeKeys}
      />
      <div class="panel-side">
        <header>
          <h2>{c || d ? <a href={`/tasks/${id}`}>{d?.name ?? c!.name}</a> : "…"}</h2>
          <button type="button" class="icon-button" aria-label="Close panel" onClick={() => select("")}><Icon name="close" /></button>
        </header>
        {problem.value && <div class="notice danger"><Icon name="warning" /><p>{problem.value}</p></div>}
        {(d || c) && <Facts d={d} c={c} id={id} />}
      </div>
      <div class="panel-main">
        <div class="tabs" role="tablist" aria-label="Details">
          {TABS.map((t) => (
            <button key={t} type="button" role="tab" id={`tab-${t}`} aria-controls="panel-body" aria-selected={tab.value === t} onClick={() => (tab.value = t)}>
              {TITLE[t]}{t === "artifacts" && d && d.artifacts.length > 0 ? ` ${d.artifacts.length}` : ""}
            </button>
          ))}
        </div>
        <div class="tab-body" role="tabpanel" id="panel-body" aria-labelledby={`tab-${tab.value}`} tabIndex={0}>{d ? <Body d={d} /> : <p class="muted">…</p>}</div>
      </div>
    </aside>
  );
}

function Facts({ d, c, id }: { d: TaskData | null; c: Cell | undefined; id: string }) {
  const run = d?.runs[d.runs.length - 1];
  const rerun = d?.acts.find((a) => a.name === "rerun");
  const cancel = d?.acts.find((a) => a.name === "cancel");
  return (
    <>
      <p class="result">
        {d ? <Status state={d.state} text={d.stateText} /> : c && <Status state={c.state} />}
        {c && classOf(c) > 1 && <span class="tag">{CLASS_WORD[classOf(c)]}{c.said!.bug ? ` ${c.said!.bug}` : ""}</span>}
      </p>
      {d && <p class="reason">{d.sentence}</p>}
      {d && d.waiting.length > 0 && <ul class="small muted"><Waits list={d.waiting} /></ul>}
      <div class="acts">
        {d?.logPage && <a class="button" href={d.logPage}><Icon name="log" />Log</a>}
        <button type="button" class="button" aria-pressed={pinned(id)} onClick={() => togglePin(id)}>{pinned(id) ? "Unpin" : "Pin"}</button>
        {rerun?.possible && <button type="button" class="button" disabled={!rerun.allowed} onClick={() => void act("rerun", [id])}>Rerun</button>}
        <button type="button" class="button" onClick={() => void retrigger([id])}>Retrigger</button>
        {cancel?.possible && <button type="button" class="button" disabled={!cancel.allowed} onClick={() => void act("cancel", [id])}>Cancel</button>}
        {d?.actions && <ActionMenu group={d.groupId} task={d.id} />}
      </div>
      {d?.acts.filter((a) => a.possible && a.why).map((a) => <p key={a.name} class="why">{a.label}: {a.why}</p>)}
      <dl class="facts">
        <dt>Task</dt>
        <dd><a class="mono" href={`/tasks/${id}`}>{id}</a> <Copy text={id} what="task id" /></dd>
        <dt>Queue</dt><dd class="mono">{d?.queue ?? c?.queue}</dd>
        {c && <><dt>Platform</dt><dd>{c.platform}</dd></>}
        {run ? <><dt>{run.started || run.ended ? "Waited" : "Not started, queued for"}</dt><dd class="num">{duration((run.started || run.ended || now.value) - run.scheduled)}</dd></> : null}
        {run?.started ? <><dt>Ran</dt><dd class="num">{duration((run.ended || now.value) - run.started)}</dd></> : null}
        {run?.ended ? <><dt>Ended</dt><dd><When at={run.ended} /></dd></> : null}
        {run?.worker && <><dt>Worker</dt><dd class="mono"><a href={`/workers/${d?.queue ?? c?.queue ?? ""}/${run.worker}`}>{run.worker}</a></dd></>}
        {d && ended(d.state) && d.expires < now.value && <><dt>Kept</dt><dd><span class="tag">Expired</span></dd></>}
      </dl>
    </>
  );
}

function Body({ d }: { d: TaskData }) {
  switch (tab.value) {
    case "failure": return <Failure d={d} />;
    case "artifacts": return <Artifacts d={d} />;
    case "classification": return <Classification id={d.id} />;
    case "similar": return <SimilarTasks />;
    case "runs": return <Runs d={d} />;
  }
}

function Failure({ d }: { d: TaskData }) {
  const failed = d.state === "failed" || d.state === "exception";
  return (
    <>
      {failed && reading.value && <p class="muted">The log is being read…</p>}
      {failed && !reading.value && lines.value.length === 0 && <p class="muted">No line of the log tells why it failed.</p>}
      {lines.value.length > 0 && (
        <ol class="failure-lines">
          {lines.value.map((l, i) => (
            <li key={i}>
              {l.test && <b class="mono">{l.test}</b>}
              <span class="mono">{l.message}</span>
              {l.number > 0 && d.logPage && <a class="small" href={`${d.logPage}#L${l.number}`}>line {l.number}</a>}
              {l.report > 0 && <span class="small muted said-so">reported by {l.by} <button type="button" class="link" onClick={() => void takeLineBack(d, l.report)}>take back</button></span>}
              {suggested.value?.lines[i] && <BugList list={suggested.value.lines[i]!} take={(bug) => pinWith(d.id, bug)} />}
            </li>
          ))}
        </ol>
      )}
      {lines.value.length > 0 && suggested.value?.tracker.name && (
        <p><button type="button" class="button small" data-file-bug onClick={() => fileBug(d)}>File a bug…</button></p>
      )}
      {tail.value && <><h3>End of the log</h3><pre class="code tail" tabIndex={0}>{tail.value}</pre></>}
      {!tail.value && !failed && <p class="muted">There is no log yet.</p>}
    </>
  );
}

function fileBug(d: TaskData): void {
  const revision = cellsById.get(d.id)?.push.info.value.revision ?? d.push?.revision ?? "";
  const words = draft({ name: d.name, task: d.id, run: d.run, repo: data.repo, revision, log: d.logPage, lines: lines.value });
  openFiling({ task: d.id, tracker: suggested.value!.tracker, ...words, done: (bug) => pinWith(d.id, bug) });
}

async function takeLineBack(d: TaskData, report: number): Promise<void> {
  try {
    toast((await post<{ message: string }>(`/ui/api/reports/${d.id}/${report}/undo`, new URLSearchParams())).message);
    await load(d.id);
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  }
}

function Artifacts({ d }: { d: TaskData }) {
  if (d.artifacts.length === 0) return <p class="muted">This run has no artifacts.</p>;
  return (
    <ul class="small">
      {d.artifacts.map((a) => <li key={a.name}><a href={a.log || a.href}>{a.name}</a> {a.expires > 0 && <span class="muted">kept until <When at={a.expires} /></span>}</li>)}
    </ul>
  );
}

function Classification({ id }: { id: string }) {
  const list = said.value;
  if (!list) return <p class="muted">…</p>;
  if (list.length === 0) return <p class="muted">Nobody has said what this is. Pin it (space), choose a class and press Classify.</p>;
  return (
    <ul class="said">
      {list.map((s) => (
        <li key={s.id} class={s.undoneBy ? "undone" : ""}>
          <b>{CLASS_WORD[s.class]}</b> {s.bug && <span class="mono">{s.bug}</span>} <span>{s.note}</span> <span class="muted small">{s.by}, <When at={s.time} /></span>
          {s.undoneBy ? <span class="muted small">taken back by {s.undoneBy}</span> : <button type="button" class="button small" onClick={() => void undo([s.id]).then(() => loadTab(id, "classification"))}>Delete</button>}
        </li>
      ))}
    </ul>
  );
}

function SimilarTasks() {
  const list = similar.value;
  if (!list) return <p class="muted">…</p>;
  if (list.length === 0) return <p class="muted">No other push has run this.</p>;
  return (
    <table class="table">
      <thead><tr><th>Push</th><th>Outcome</th><th class="num">Took</th></tr></thead>
      <tbody>
        {list.map((s) => (
          <tr key={s.push}>
            <td><a class="mono" href={`/jobs?repo=${encodeURIComponent(data.repo)}&revision=${s.revision}`}>{s.revision.slice(0, 10)}</a></td>
            <td>
              <a href={`/tasks/${s.task}`}>
                {s.failed > 0 && <Status state="failed" text={`${s.failed} failed`} />} {s.lost > 0 && <Status state="exception" text={`${s.lost} lost`} />} {s.passed > 0 && <Status state="passed" text={`${s.passed} passed`} />}
              </a>
            </td>
            <td class="num">{s.seconds > 0 ? duration(s.seconds * 1000) : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Runs({ d }: { d: TaskData }) {
  if (d.runs.length === 0) return <p class="muted">It has not run yet.</p>;
  return (
    <ul class="said">
      {d.runs.map((r) => <li key={r.id}><a href={`/tasks/${d.id}/runs/${r.id}`}>Run {r.id}</a> <Status state={r.state} text={r.stateText} /> <span>{r.sentence}</span> <span class="muted mono small">{r.worker}</span></li>)}
    </ul>
  );
}

/** Whether a task of the page is the one selected, with its push. */
export const selectedHit = (id: string) => cellsById.get(id);
