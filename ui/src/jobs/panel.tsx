// The side panel: what one wants to know of the selected task without leaving the grid.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { ActionMenu } from "../shell/actions.tsx";
import { act, get, Refused } from "../shell/api.ts";
import type { Message, TaskData } from "../shell/data.ts";
import { onMessages } from "../shell/live.ts";
import { Copy, Icon, Status, Waits, When } from "../shell/look.tsx";
import { duration, now } from "../shell/time.ts";
import { text } from "../log/ansi.ts";
import { tailOf } from "../log/stream.ts";

const TAIL_LINES = 14;
const TAIL_BYTES = 6000;

const details = signal<TaskData | null>(null);
const problem = signal("");
const tail = signal("");

let wanted = "";
let running: AbortController | undefined;

/** Loads the details of a task; an earlier request still under way is dropped. */
async function load(id: string): Promise<void> {
  running?.abort();
  const mine = (running = new AbortController());
  try {
    const data = await get<TaskData>(`/ui/api/tasks/${id}`, mine.signal);
    if (wanted !== id) return;
    details.value = data;
    problem.value = "";
    tail.value = data.log ? await lastLines(data.log, mine.signal) : "";
  } catch (error) {
    if (mine.signal.aborted || wanted !== id) return;
    problem.value = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
}

async function lastLines(path: string, signal: AbortSignal): Promise<string> {
  const bytes = await tailOf(path, TAIL_BYTES, signal);
  return bytes.trimEnd().split("\n").slice(-TAIL_LINES).map(text).join("\n");
}

let again: ReturnType<typeof setTimeout> | undefined;

onMessages((list: Message[]) => {
  if (wanted === "" || !list.some((m) => m.kind === "reset" || m.task?.id === wanted || m.artifact === wanted)) return;
  clearTimeout(again);
  again = setTimeout(() => {
    if (wanted !== "") void load(wanted);
  }, 150);
});

export function Panel({ id, close }: { id: string; close: () => void }) {
  useEffect(() => {
    wanted = id;
    details.value = null;
    problem.value = tail.value = "";
    const timer = setTimeout(() => void load(id), 120);
    return () => {
      clearTimeout(timer);
      running?.abort();
      wanted = "";
    };
  }, [id]);
  const d = details.value?.id === id ? details.value : null;
  return (
    <aside class="card panel" aria-label="Selected task">
      <header>
        <div class="grow">
          <h2>{d ? <a href={`/tasks/${id}`}>{d.name}</a> : "…"}</h2>
          {d && <Status state={d.state} text={d.stateText} />}
        </div>
        <button type="button" class="icon-button" aria-label="Close panel" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <div class="body">
        {problem.value && <div class="notice danger"><Icon name="warning" /><p>{problem.value}</p></div>}
        {d && <Details d={d} />}
      </div>
    </aside>
  );
}

function Details({ d }: { d: TaskData }) {
  const run = d.runs[d.runs.length - 1];
  return (
    <>
      <p class="reason">{d.sentence}</p>
      {d.waiting.length > 0 && <ul class="small muted"><Waits list={d.waiting} /></ul>}
      <div class="acts">
        {d.logPage && <a class="button" href={d.logPage}><Icon name="log" />Log</a>}
        {d.acts.filter((a) => a.possible).map((a) => (
          <button type="button" class="button" disabled={!a.allowed} title={a.why} onClick={() => void act(a.name, d.id)}>
            {a.label}
          </button>
        ))}
        {d.actions && <ActionMenu group={d.groupId} task={d.id} />}
      </div>
      {d.acts.filter((a) => a.possible && a.why).map((a) => <p key={a.name} class="why">{a.label}: {a.why}</p>)}
      <section>
        <dl class="facts">
          <dt>Task</dt>
          <dd><a class="mono" href={`/tasks/${d.id}`}>{d.id}</a> <Copy text={d.id} what="task id" /></dd>
          <dt>Queue</dt><dd class="mono">{d.queue}</dd>
          {run && <><dt>Waited</dt><dd class="num">{duration((run.started || run.ended || now.value) - run.scheduled)}</dd></>}
          {run?.started ? <><dt>Ran</dt><dd class="num">{duration((run.ended || now.value) - run.started)}</dd></> : null}
          {run?.ended ? <><dt>Ended</dt><dd><When at={run.ended} /></dd></> : null}
          {run?.worker && <><dt>Worker</dt><dd class="mono">{run.worker}</dd></>}
        </dl>
      </section>
      {tail.value && <section><h3>End of the log</h3><pre class="code tail">{tail.value}</pre></section>}
      {d.artifacts.length > 0 && (
        <section>
          <h3>Artifacts</h3>
          <ul class="small">
            {d.artifacts.slice(0, 12).map((a) => <li><a href={a.log || a.href}>{a.name}</a></li>)}
            {d.artifacts.length > 12 && <li><a href={`/tasks/${d.id}?tab=artifacts`}>{d.artifacts.length - 12} more</a></li>}
          </ul>
        </section>
      )}
    </>
  );
}
