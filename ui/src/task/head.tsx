// The head of the task page: where it is, what it is, and what can be done.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { act, get, post, Refused } from "../shell/api.ts";
import { ActionMenu } from "../shell/actions.tsx";
import type { Act, TaskData } from "../shell/data.ts";
import { bad, copy, Icon, Status } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { reload, task } from "./model.ts";

const ICON: Record<Act["name"], string> = { rerun: "rerun", cancel: "stop", schedule: "play", priority: "right", purge: "close", retrigger: "rerun" };
const PRIORITIES = ["highest", "very-high", "high", "medium", "low", "very-low", "lowest"];

export function Crumbs({ d }: { d: TaskData }) {
  return (
    <ol class="crumbs" aria-label="Where this is">
      {d.push && <li><a href={`/jobs?repo=${encodeURIComponent(d.push.repo)}`}>{d.push.repo}</a></li>}
      {d.push && (
        <li>
          <a href={`/jobs?repo=${encodeURIComponent(d.push.repo)}&revision=${d.push.revision}&selectedTaskRun=${d.id}.${Math.max(d.run, 0)}`} title={d.push.subject}>
            <span class="mono">{d.push.revision.slice(0, 10)}</span>
          </a>{" "}
          <a class="small" href={`/push/${encodeURIComponent(d.push.repo)}/${d.push.revision}`}>health</a>
        </li>
      )}
      <li><a href={`/tasks/groups/${d.groupId}`}>Task group</a></li>
    </ol>
  );
}

export function Head({ d }: { d: TaskData }) {
  const shown = d.acts.filter((a) => a.possible && (a.name === "rerun" || a.name === "cancel" || a.name === "schedule" || a.name === "retrigger"));
  return (
    <div class="task-head">
      <div class="line">
        <h1>{d.name}</h1>
        <div class="acts">
          {shown.map((a) => (
            <button
              key={a.name} type="button" data-act={a.name} class={"button" + (a.name === "cancel" ? " danger" : "")} disabled={!a.allowed}
              aria-describedby={a.why ? "why-" + a.name : undefined} onClick={() => confirmed(a.name, d)}
            >
              <Icon name={ICON[a.name]} />
              {asked.value === d.id && a.name === "cancel" ? "Cancel this task?" : a.label}
            </button>
          ))}
          {d.actions && <ActionMenu group={d.groupId} task={d.id} />}
          <More d={d} />
        </div>
      </div>
      <div class="line">
        <Status state={d.state} text={d.stateText} big />
        <span class="reason">{d.sentence}</span>
      </div>
      <WhyLine d={d} />
      {shown.filter((a) => a.why).map((a) => <p key={a.name} id={"why-" + a.name} class="why">{a.label}: {a.why}</p>)}
    </div>
  );
}

const LATER_MS = 1000;

// WhyLine says why the task is there, with where the rule stands.
function WhyLine({ d }: { d: TaskData }) {
  useEffect(() => {
    if (!d.why.later) return;
    const timer = setTimeout(() => {
      get<TaskData["why"]>(`/ui/api/why/${d.id}`).then((why) => (task.value = { ...task.value, why }), () => undefined);
    }, LATER_MS);
    return () => clearTimeout(timer);
  }, [d.why]);
  if (d.why.later) return <p class="why-line" aria-busy="true">Why it is there is being read…</p>;
  if (d.why.text === "") return null;
  return (
    <p class="why-line">
      {d.why.text}{" "}
      {d.why.rule && <>Rule: {d.why.source ? <a href={d.why.source} rel="noopener noreferrer nofollow"><code>{d.why.rule}</code></a> : <code>{d.why.rule}</code>} · </>}
      <a href={d.why.link}>the whole story</a>
    </p>
  );
}

// More is the rarer things to do, and where else to go from here.
function More({ d }: { d: TaskData }) {
  const of = (name: Act["name"]) => d.acts.find((a) => a.name === name && a.possible);
  const priority = of("priority");
  const purge = of("purge");
  return (
    <details class="menu right" id="more-acts">
      <summary class="button"><Icon name="menu" />More</summary>
      <div class="drop">
        <a href={`/tasks/create?from=${d.id}`}><Icon name="file" />Edit and create<kbd>e</kbd></a>
        <a href={`/tasks/create?from=${d.id}&interactive=1`}><Icon name="open" />Create with a shell<kbd>i</kbd></a>
        <button type="button" onClick={() => void copy(d.id, "the task id")}><Icon name="copy" />Copy the id</button>
        <button type="button" onClick={() => void copy(location.href, "the link")}><Icon name="link" />Copy the link<kbd>y</kbd></button>
        <button type="button" onClick={() => void copy(d.curl, "the command")}><Icon name="copy" />Copy as curl</button>
        {priority && (
          <form class="more-form" onSubmit={(e) => { e.preventDefault(); void send("priority", d, new FormData(e.currentTarget)); }}>
            <label for="priority">Priority</label>
            <select class="input" id="priority" name="priority" defaultValue={d.priority} disabled={!priority.allowed}>
              {PRIORITIES.map((p) => <option key={p} selected={p === d.priority}>{p}</option>)}
            </select>
            <button class="button" disabled={!priority.allowed}>Change</button>
            {priority.why && <p class="why">{priority.why}</p>}
          </form>
        )}
        {purge && (
          <form class="more-form" onSubmit={(e) => { e.preventDefault(); void send("purge", d, new FormData(e.currentTarget)); }}>
            <span>Purge caches of {d.queue}</span>
            {d.caches.map((c) => <label key={c} class="tick"><input type="checkbox" name="cache" value={c} defaultChecked disabled={!purge.allowed} /><span class="mono small">{c}</span></label>)}
            <button class="button danger" disabled={!purge.allowed}>Purge {plural(d.caches.length, "cache")}</button>
            {purge.why && <p class="why">{purge.why}</p>}
          </form>
        )}
        {d.classify && bad(d.state) && <Classify d={d} />}
      </div>
    </details>
  );
}

function Classify({ d }: { d: TaskData }) {
  const off = !d.canClassify;
  return (
    <form
      class="more-form"
      onSubmit={(e) => {
        e.preventDefault();
        const f = new FormData(e.currentTarget);
        void said("/ui/api/jobs/classify", new URLSearchParams({ task: d.id, class: String(f.get("class")), bug: String(f.get("bug")), note: String(f.get("note")) }), "Classified.");
      }}
    >
      <label for="class">Classify</label>
      <select class="input" id="class" name="class" disabled={off}>
        <option value="4">intermittent</option><option value="2">fixed by commit</option><option value="3">expected fail</option><option value="5">infra</option>
      </select>
      <input class="input" name="bug" placeholder="bug or issue" aria-label="Bug or issue" disabled={off} />
      <input class="input" name="note" placeholder="note" aria-label="Note" disabled={off} />
      <button class="button" disabled={off}>Classify</button>
      {off && <p class="why">needs {d.classify}.</p>}
    </form>
  );
}

async function said(path: string, body: URLSearchParams, done: string): Promise<void> {
  try {
    const { message } = await post<{ message?: string }>(path, body);
    toast(message ?? done);
    void reload();
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  }
}

function send(name: string, d: TaskData, form: FormData): Promise<void> {
  const body = new URLSearchParams();
  for (const [k, v] of form) body.append(k, String(v));
  return said(`/ui/api/tasks/${d.id}/${name}`, body, "Done.");
}

export const asked = signal("");

// Cancelling asks once more, in place: the button changes its words.
export function confirmed(name: Act["name"], d: TaskData): void {
  if (name === "cancel" && asked.value !== d.id) {
    asked.value = d.id;
    setTimeout(() => (asked.value = ""), 4000);
    return;
  }
  asked.value = "";
  void act(name, d.id).then(reload);
}
