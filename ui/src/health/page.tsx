// The page of a push: its verdict, and its failures told apart.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { get, post, Refused } from "../shell/api.ts";
import { draft, openFiling, suggestions } from "../shell/bugs.tsx";
import { bootOf, type Message, type State } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { copy, Icon, Status, When } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { query, setQuery } from "../shell/url.ts";

type Kind = "new" | "unsure" | "known" | "flaky" | "infra";

interface Mark {
  push: number;
  revision: string;
  state: "failed" | "passed" | "";
}

interface Failed {
  taskId: string;
  run: number;
  label: string;
  name: string;
  platform: string;
  line: number;
}

interface Group {
  signature: string;
  test: string;
  message: string;
  job: string;
  excerpt: string;
  kind: Kind;
  reason: string;
  tasks: Failed[];
  platforms: string[] | null;
  parent: "" | "failed" | "passed" | "running";
  k: number;
  n: number;
  strip: Mark[] | null;
  first: Mark | null;
  bug: string;
}

interface HealthData {
  repo: string;
  revision: string;
  branch: string;
  author: string;
  subject: string;
  time: number;
  groupId: string;
  error: { code: string; message: string; file?: string; line?: number; detail?: string } | null;
  commits: { revision: string; author: string; subject: string }[];
  base: { revision: string; chosen: boolean; known: boolean; unfinished: number };
  verdict: { state: State; title: string; reasons: string[]; final: boolean };
  groups: Group[];
  more: number;
  counts: Partial<Record<Kind, number>>;
  jobs: { job: string; passed: number; failed: number; lost: number }[];
  tasks: Record<string, number>;
  running: number;
  figures: Figures | null;
  canTrigger: boolean;
  tracker: string; // "" for none
}

interface Figures {
  path: { id: string; name: string; state: State; takes: number }[];
  length: number;
  takes: number;
  left: number;
  guessed: number;
  hours: number;
  cost: string;
}

const KINDS: [Kind, string, string][] = [
  ["new", "New failures", "They came with this push."],
  ["unsure", "Not judged yet", "The parent has not finished: nothing is called new before."],
  ["known", "Known failures", "Somebody has classified them, or they fail without this push too."],
  ["flaky", "Flaky failures", "They pass and fail on the same revision."],
  ["infra", "The machines", "They say nothing about this push."],
];
const TABS: [string, string, Kind[]][] = [
  ["", "All", ["new", "unsure", "known", "flaky", "infra"]],
  ["failures", "New", ["new", "unsure"]],
  ["known", "Known", ["known"]],
  ["flaky", "Flaky", ["flaky"]],
  ["infra", "Machines", ["infra"]],
];
const JOBS: Record<string, string> = { build: "Builds", lint: "Lint", test: "Tests", other: "Others" };

const health = signal<HealthData>(bootOf<HealthData>().data);
const tab = signal("");
const chosen = signal(""); // signature
const opened = signal<ReadonlySet<string>>(new Set());

const short = (revision: string) => revision.slice(0, 10);
const path = () => `/push/${encodeURIComponent(health.value.repo)}/${health.value.revision}`;
const logOf = (t: Failed) => `/tasks/${t.taskId}/runs/${t.run}/logs/public/logs/live.log${t.line ? `#L${t.line}` : ""}`;
const shown = (): Group[] => {
  const kinds = TABS.find(([id]) => id === tab.value)?.[2] ?? [];
  return health.value.groups.filter((g) => kinds.includes(g.kind));
};

function readUrl(): void {
  const t = query().get("tab") ?? "";
  tab.value = TABS.some(([id]) => id === t) ? t : "";
  chosen.value = query().get("failure") ?? "";
}

function App() {
  const d = health.value;
  return (
    <>
      <ol class="crumbs" aria-label="Where this is">
        <li><a href={`/jobs?repo=${encodeURIComponent(d.repo)}`}>{d.repo}</a></li>
        <li><a href={`/jobs?repo=${encodeURIComponent(d.repo)}&revision=${d.revision}`}><code>{short(d.revision)}</code></a></li>
        {d.groupId && <li><a href={`/tasks/groups/${d.groupId}`}>Task group</a></li>}
        {d.groupId && <li><a href={`/why/${d.groupId}`}>Why these tasks</a></li>}
        <li><a href={`/push/${encodeURIComponent(d.repo)}/${d.revision}/trace`}>Trace</a></li>
      </ol>
      <h1>{d.subject}</h1>
      <p class="muted small health-by">{d.author} pushed to {d.branch} <When at={d.time} /></p>
      <Verdict d={d} />
      {d.error && (
        <div class="notice danger">
          <Icon name="warning" />
          <div class="grow">
            <p><b>{d.error.code}</b>{d.error.file && <> in <code>{d.error.file}{d.error.line ? `:${d.error.line}` : ""}</code></>}</p>
            <p>{d.error.message}</p>
            {d.error.detail && <pre>{d.error.detail}</pre>}
          </div>
        </div>
      )}
      <Jobs d={d} />
      {d.figures && <Numbers f={d.figures} running={d.running} />}
      <Base d={d} />
      {d.groups.length > 0 && <Tabs d={d} />}
      {KINDS.map(([kind, title, help]) => {
        const list = shown().filter((g) => g.kind === kind);
        if (list.length === 0) return null;
        return (
          <section key={kind} class="health-kind" data-kind={kind} aria-label={title}>
            <h2>{title} <span class="n">{d.counts[kind] ?? 0}</span></h2>
            <p class="muted small">{help}</p>
            <ol class="health-list">{list.map((g) => <Row key={g.signature} g={g} d={d} />)}</ol>
          </section>
        );
      })}
      {d.more > 0 && <p><a class="button" href={`?all=1`}>Show {plural(d.more, "more failure")}</a></p>}
      <section class="card" aria-label="Commits">
        <header><h2>Commits</h2><span class="muted">{d.commits.length}</span></header>
        <div class="table-box">
          <table class="list">
            <tbody>
              {d.commits.map((c) => (
                <tr key={c.revision}>
                  <td class="mono nowrap">{short(c.revision)}</td>
                  <td>{c.subject}</td>
                  <td class="muted">{c.author}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

function Verdict({ d }: { d: HealthData }) {
  const v = d.verdict;
  return (
    <section class={`verdict v-${v.state}`} aria-label="Verdict" aria-live="polite">
      <Status state={v.state} text={v.title} big />
      {!v.final && d.groupId && <span class="tag">not final</span>}
      {v.reasons.length > 0 && <ul>{v.reasons.map((r) => <li key={r}>{r}</li>)}</ul>}
    </section>
  );
}

function Jobs({ d }: { d: HealthData }) {
  if (d.jobs.length === 0) return null;
  return (
    <ul class="health-jobs" aria-label="By sort of work">
      {d.jobs.map((j) => (
        <li key={j.job} data-job={j.job}>
          <b>{JOBS[j.job] ?? j.job}</b>
          {j.failed > 0 && <Status state="failed" text={`${j.failed} failed`} />}
          {j.lost > 0 && <Status state="exception" text={`${j.lost} lost`} />}
          {j.passed > 0 && <Status state="passed" text={`${j.passed} passed`} />}
        </li>
      ))}
    </ul>
  );
}

// What decides when the push is done, how long that still is, and what it costs.
function Numbers({ f, running }: { f: Figures; running: number }) {
  return (
    <section class="health-figures" aria-label="Time and cost">
      <dl>
        {running > 0 && (
          <div data-figure="left">
            <dt>To go</dt>
            <dd>
              about {duration(f.left)}
              {f.guessed > 0 && <span class="muted small"> ({plural(f.guessed, "task")} never passed here before)</span>}
            </dd>
          </div>
        )}
        <div data-figure="path"><dt>Critical path</dt><dd>{duration(f.takes)} <span class="muted small">in {plural(f.length, "task")}</span></dd></div>
        <div data-figure="hours"><dt>Workers' time</dt><dd>{duration(f.hours * 3_600_000)}</dd></div>
        {f.cost && <div data-figure="cost"><dt>Cost</dt><dd>{f.cost}</dd></div>}
      </dl>
      <details>
        <summary>The critical path{f.path.length < f.length && `, its ${f.path.length} longest tasks`}</summary>
        <ol class="health-path">
          {f.path.map((t) => (
            <li key={t.id}><Status state={t.state} text="" /> <a href={`/tasks/${t.id}`}>{t.name}</a> <span class="muted small num">{duration(t.takes)}</span></li>
          ))}
        </ol>
      </details>
    </section>
  );
}

function Base({ d }: { d: HealthData }) {
  return (
    <form class="toolbar health-base" action={path()}>
      <label for="base">{d.base.chosen ? "Compared with" : "Compared with the parent"}</label>
      <input class="input mono" id="base" name="base" key={d.base.revision} defaultValue={d.base.revision} placeholder="a revision" spellcheck={false} />
      <button class="button">Compare</button>
      {d.base.chosen && <a class="button quiet" href={path()}>the parent</a>}
    </form>
  );
}

function Tabs({ d }: { d: HealthData }) {
  return (
    <nav class="tabs" aria-label="Which failures">
      {TABS.map(([id, title, kinds]) => {
        const n = kinds.reduce((sum, k) => sum + (d.counts[k] ?? 0), 0);
        return (
          <a
            key={id} href={id ? `?tab=${id}` : location.pathname} aria-current={tab.value === id ? "page" : undefined}
            onClick={(e) => {
              if (e.ctrlKey || e.metaKey || e.shiftKey) return;
              e.preventDefault();
              setQuery({ tab: id || null }, true);
              readUrl();
            }}
          >
            {title} <span class="n">{n}</span>
          </a>
        );
      })}
    </nav>
  );
}

function Row({ g, d }: { g: Group; d: HealthData }) {
  const here = chosen.value === g.signature;
  const open = opened.value.has(g.signature);
  return (
    <li class={"card health-row" + (here ? " sel" : "")} data-signature={g.signature} aria-current={here ? "true" : undefined}>
      <div class="body">
        <div class="line">
          <button type="button" class="what" aria-expanded={open} onClick={() => toggle(g.signature)}>
            <Icon name={open ? "down" : "right"} /> <span>{g.test || g.message}</span>
          </button>
          <Strip list={g.strip ?? []} />
        </div>
        {g.test && <p class="mono small message">{g.message}</p>}
        <p class="why-kind">{g.reason} {g.bug && /^https?:/.test(g.bug) && <a href={g.bug} rel="noopener noreferrer nofollow">bug</a>}</p>
        <p class="small muted">
          {plural(g.tasks.length, "run")} failed{(g.platforms ?? []).map((p) => <span key={p} class="tag">{p}</span>)}
          {g.first && <span> first on <a href={`/push/${encodeURIComponent(d.repo)}/${g.first.revision}`}><code>{short(g.first.revision)}</code></a></span>}
          {g.tasks[0] && <a href={logOf(g.tasks[0])}>log</a>}
        </p>
        {open && <Details g={g} d={d} />}
      </div>
    </li>
  );
}

function Strip({ list }: { list: Mark[] }) {
  const failed = list.filter((m) => m.state === "failed").length;
  const passed = list.filter((m) => m.state === "passed").length;
  return (
    <span class="push-strip" role="img" aria-label={`Of the last ${plural(list.length, "push", "pushes")} it failed on ${failed} and passed on ${passed}`}>
      {list.map((m) => <i key={m.push} class={m.state} title={`${short(m.revision)}: ${m.state || "did not run"}`} />)}
    </span>
  );
}

function Details({ g, d }: { g: Group; d: HealthData }) {
  return (
    <div class="details">
      {g.excerpt && <pre class="code" tabIndex={0}>{g.excerpt}</pre>}
      <ul class="health-tasks">
        {g.tasks.slice(0, 30).map((t) => (
          <li key={t.taskId + t.run}>
            <a href={`/tasks/${t.taskId}/runs/${t.run}`}>{t.name || t.label}</a> <span class="muted small">{t.platform}</span>{" "}
            <a class="small" href={logOf(t)}>log{t.line > 0 && `, line ${t.line}`}</a>
          </li>
        ))}
        {g.tasks.length > 30 && <li class="muted">and {g.tasks.length - 30} more</li>}
      </ul>
      <div class="deeds">
        <form
          class="toolbar" aria-label="Retrigger"
          onSubmit={(e) => {
            e.preventDefault();
            void retrigger(g, new FormData(e.currentTarget));
          }}
        >
          {(g.platforms ?? []).map((p) => <label key={p} class="tick"><input type="checkbox" name="platform" value={p} defaultChecked /><span>{p}</span></label>)}
          <label class="tick"><span>times</span><input class="input number times" type="number" name="times" defaultValue="1" min="1" max="20" /></label>
          <button class="button" disabled={!d.canTrigger}><Icon name="rerun" />Retrigger</button>
          {!d.canTrigger && <span class="why">sign in first</span>}
        </form>
        <form
          class="toolbar" aria-label="Classify"
          onSubmit={(e) => {
            e.preventDefault();
            void classify(g, new FormData(e.currentTarget));
          }}
        >
          <select class="input class" name="class" aria-label="Class">
            <option value="4">intermittent</option>
            <option value="2">fixed by commit</option>
            <option value="3">expected fail</option>
            <option value="5">infra</option>
          </select>
          <input class="input bug" name="bug" placeholder="bug or issue" aria-label="Bug or issue" />
          <input class="input" name="note" placeholder="note" aria-label="Note" />
          {d.tracker && <button type="button" class="button quiet" data-file-bug onClick={(e) => void fileBug(g, e.currentTarget.form!)}>File a bug…</button>}
          <button
            type="button" class="button quiet" data-not-mine disabled={!d.canTrigger} title="Says of all of them that they do not come from this push"
            onClick={() => void notMine(g)}
          >
            Not mine
          </button>
          <button class="button" disabled={!d.canTrigger}>Classify {g.tasks.length > 1 && plural(new Set(g.tasks.map((t) => t.taskId)).size, "task")}</button>
        </form>
      </div>
    </div>
  );
}

function toggle(signature: string): void {
  const next = new Set(opened.value);
  if (!next.delete(signature)) next.add(signature);
  opened.value = next;
  choose(signature);
}

function choose(signature: string): void {
  chosen.value = signature;
  setQuery({ failure: signature || null });
}

async function said(deed: () => Promise<{ message?: string }>): Promise<void> {
  try {
    const { message } = await deed();
    toast(message ?? "Done.");
    void reload();
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  }
}

let sending = false;

async function retrigger(g: Group, form: FormData): Promise<void> {
  if (sending) return;
  sending = true;
  const body = new URLSearchParams({ signature: g.signature, times: String(form.get("times")) });
  for (const p of form.getAll("platform")) body.append("platform", String(p));
  if ((g.platforms ?? []).length > 0 && form.getAll("platform").length === 0) toast("Choose a platform.", true);
  else await said(() => post(`/ui/api${path()}/retrigger${location.search}`, body));
  sending = false;
}

async function classify(g: Group, form: FormData): Promise<void> {
  const body = new URLSearchParams({ class: String(form.get("class")), bug: String(form.get("bug")), note: String(form.get("note")) });
  for (const id of new Set(g.tasks.map((t) => t.taskId))) body.append("task", id);
  await said(() => post("/ui/api/jobs/classify", body));
}

// What is filed becomes the bug of the form beside it.
async function fileBug(g: Group, form: HTMLFormElement): Promise<void> {
  const d = health.value;
  const t = g.tasks[0];
  if (!t) return;
  try {
    const { tracker } = await suggestions(t.taskId, t.run, false);
    const words = draft({ name: t.name || t.label, task: t.taskId, run: t.run, repo: d.repo, revision: d.revision, log: logOf(t), lines: [g] });
    const more = g.excerpt ? `\n\n${g.excerpt}` : "";
    openFiling({
      task: t.taskId, tracker, summary: words.summary, description: words.description + more,
      done: (bug) => {
        const field = form.elements.namedItem("bug") as HTMLInputElement;
        field.value = bug;
        field.focus();
      },
    });
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  }
}

// Not mine is a word for the usual case: it fails now and then, and somebody who knows the push says that it is not why.
async function notMine(g: Group): Promise<void> {
  const form = new FormData();
  form.set("class", "4");
  form.set("bug", "");
  form.set("note", `not from ${short(health.value.revision)}`);
  await classify(g, form);
}

let latest = 0;

async function reload(): Promise<void> {
  const mine = ++latest;
  try {
    const d = await get<HealthData>(`/ui/api${path()}${location.search}`);
    if (mine === latest) health.value = d;
  } catch {
    // The header says when the server is away; the page keeps what it knows.
  }
}

let soon: ReturnType<typeof setTimeout> | undefined;
let last = 0;

// What a failure is, is news at once; that a task has moved can wait a second.
function receive(list: Message[]): void {
  const group = health.value.groupId;
  const wanted = list.filter((m) => m.kind === "reset" || m.kind.startsWith("push-") || (group !== "" && m.groupId === group));
  if (wanted.length === 0) return;
  const urgent = wanted.some((m) => m.task === undefined && m.artifact === undefined);
  if (soon !== undefined && !urgent) return;
  clearTimeout(soon);
  soon = setTimeout(() => {
    soon = undefined;
    last = Date.now();
    void reload();
  }, urgent ? Math.max(100, 400 - (Date.now() - last)) : 1000);
}

function step(by: number): void {
  const list = shown();
  if (list.length === 0) return toast("There are no failures here.");
  const at = list.findIndex((g) => g.signature === chosen.value);
  const next = list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length]!;
  choose(next.signature);
  document.querySelector(`[data-signature="${next.signature}"]`)?.scrollIntoView({ block: "nearest" });
}

const current = (): Group | undefined => health.value.groups.find((g) => g.signature === chosen.value);

function withCurrent(f: (g: Group) => void): () => void {
  return () => {
    const g = current();
    if (g) f(g);
    else toast("Choose a failure first, with j or k.");
  };
}

function focusIn(g: Group, selector: string): void {
  opened.value = new Set(opened.value).add(g.signature);
  setTimeout(() => document.querySelector<HTMLElement>(`[data-signature="${g.signature}"] ${selector}`)?.focus(), 30);
}

function keys(): void {
  const section = "Push";
  bind(section, "j", "next failure", () => step(1));
  bind(section, "k", "failure before", () => step(-1));
  bind(section, "enter", "details", withCurrent((g) => toggle(g.signature)));
  bind(section, "o", "log", withCurrent((g) => g.tasks[0] && location.assign(logOf(g.tasks[0]))));
  bind(section, "r", "retrigger", withCurrent((g) => focusIn(g, ".times")));
  bind(section, "c", "classify", withCurrent((g) => focusIn(g, ".class")));
  bind(section, "x", "not mine", withCurrent((g) => void notMine(g)));
  bind(section, "y", "copy the link", () => void copy(location.href, "the link"));
}

function Effects() {
  useEffect(() => {
    const d = health.value;
    document.title = `${d.verdict.title}: ${d.subject} · Treeline`;
  }, [health.value]);
  return null;
}

export function start(root: HTMLElement): void {
  readUrl();
  root.replaceChildren();
  render(<><Effects /><App /></>, root);
  keys();
  addEventListener("popstate", readUrl);
  onMessages(receive);
}
