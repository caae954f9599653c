// The trace of a push: a waterfall of everything that happened, with why things waited, and the critical path.
import { render } from "preact";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { Copy } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import type { Step } from "./data.ts";
import { sentence } from "./lines.ts";
import { chosen, critical, fit, goTo, grouped, lines, move, nextCritical, open, pan, receive, show, text, toggle, toggleAll, trace, zoom } from "./model.ts";
import { Waterfall } from "./waterfall.tsx";

function App() {
  const t = trace.value;
  const tasks = t.rows.filter((r) => r.what === "task").length;
  return (
    <>
      <ol class="crumbs" aria-label="Where this is">
        {t.repository ? (
          <>
            <li><a href={`/jobs?repo=${encodeURIComponent(t.repository)}`}>{t.repository}</a></li>
            <li><a class="mono" href={`/push/${encodeURIComponent(t.repository)}/${t.revision}`}>{(t.revision ?? "").slice(0, 10)}</a></li>
          </>
        ) : <li><a href="/tasks/groups">Task groups</a></li>}
        {t.taskGroupId && <li><a href={`/tasks/groups/${t.taskGroupId}`}>Task group</a></li>}
        <li>Trace</li>
      </ol>
      <div class="task-head">
        <div class="line">
          <h1>Trace of {t.title}</h1>
          <div class="acts"><a class="button quiet" href={t.file} download>OTLP JSON</a></div>
        </div>
        <p class="muted">
          {t.settled ? `It took ${duration(t.takes)}` : `It has taken ${duration(t.takes)} so far`}, with {plural(tasks, "task")}; {plural(t.rows.filter((r) => r.what === "task" && r.critical).length, "is", "are")} on the critical path.
          {" "}<span class="mono small wf-id">{t.traceId} <Copy text={t.traceId} what="trace id" /></span>
        </p>
      </div>
      <Tools />
      <Waterfall />
      <Detail />
      <Path />
    </>
  );
}

function Tools() {
  return (
    <div class="toolbar">
      <input
        class="input" type="search" data-find placeholder="Name, kind, queue or reason" aria-label="Find in the trace" defaultValue={text.value}
        onInput={(e) => {
          const { value } = e.currentTarget;
          show(() => (text.value = value));
        }}
      />
      <button type="button" class="chip" aria-pressed={critical.value} data-critical onClick={() => show(() => (critical.value = !critical.value))}>◆ critical path only</button>
      <button type="button" class="chip" aria-pressed={grouped.value} data-grouped onClick={() => show(() => (grouped.value = !grouped.value))}>by kind</button>
      {grouped.value && <button type="button" class="chip" data-fold onClick={toggleAll}>fold all</button>}
      <span class="wf-legend muted small grow" aria-label="Legend">
        <span><i class="wf-key wf-needs" />waits for tasks</span>
        <span><i class="wf-key wf-worker" />waits for a worker</span>
        <span><i class="wf-key wf-run st-passed" />runs</span>
        <span><i class="wf-key wf-artifacts" />artifacts</span>
        <span><i class="wf-key wf-critical" />◆ critical path</span>
      </span>
      <button type="button" class="button quiet" aria-label="Zoom in" onClick={() => zoom(0.6)}>+</button>
      <button type="button" class="button quiet" aria-label="Zoom out" onClick={() => zoom(1 / 0.6)}>−</button>
      <button type="button" class="button quiet" onClick={fit}>Fit</button>
    </div>
  );
}

// Detail says of the chosen line what its time was spent with.
function Detail() {
  const l = lines.value[chosen.value];
  if (!l?.row) return <p class="muted small wf-detail" aria-live="polite">Choose a line to read why it waited. Enter opens the task; ctrl and wheel zoom; n goes along the critical path.</p>;
  const name = (id: string) => trace.value.rows.find((r) => r.id === id)?.name;
  return (
    <section class="card wf-detail" aria-live="polite" aria-label={l.name}>
      <header><h2>{l.row.what === "task" ? <a href={`/tasks/${l.row.id}`}>{l.name}</a> : l.name}</h2>{l.critical && <span class="tag">◆ critical path</span>}</header>
      <ul>
        {l.row.bars.map((b, i) => (
          <li key={i}>
            <span class="num muted">+{duration(b.from)}</span> {sentence(b)}
            {b.task && name(b.task) && <> <button type="button" class="button quiet small" onClick={() => goTo(b.task!)}>show it</button></>}
          </li>
        ))}
      </ul>
    </section>
  );
}

const called = (s: Step): string => s.name ?? { push: "—", webhook: "webhook", decision: "decision" }[s.what as string] ?? s.what;

function Path() {
  const t = trace.value;
  return (
    <details class="card wf-path" open={t.critical.length <= 40}>
      <summary><h2>Critical path</h2> <span class="muted small">what the end waited for at each moment: {plural(t.critical.length, "step")}, {duration(t.takes)} together</span></summary>
      <div class="table-box" tabIndex={0} role="region" aria-label="Steps of the critical path">
        <table class="list">
          <thead><tr><th>At</th><th>Took</th><th>What</th><th>Why</th></tr></thead>
          <tbody>
            {t.critical.map((s, i) => (
              <tr key={i}>
                <td class="num nowrap">+{duration(s.from)}</td>
                <td class="num nowrap">{duration(s.to - s.from)}</td>
                <td>{s.task ? <button type="button" class="button quiet small" onClick={() => goTo(s.task!)}>{s.name}</button> : called(s)}</td>
                <td>{s.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function keys(): void {
  const section = "Trace";
  bind(section, "j arrowdown", "next line", () => move(1));
  bind(section, "k arrowup", "previous line", () => move(-1));
  bind(section, "n", "next on the critical path", () => nextCritical(1));
  bind(section, "p", "previous on the critical path", () => nextCritical(-1));
  bind(section, "enter", "open the task", open);
  bind(section, "+", "zoom in", () => zoom(0.6));
  bind(section, "-", "zoom out", () => zoom(1 / 0.6));
  bind(section, "[ arrowleft", "earlier", () => pan(-0.2));
  bind(section, "] arrowright", "later", () => pan(0.2));
  bind(section, "f", "fit", fit);
  bind(section, "c", "the critical path only", () => show(() => (critical.value = !critical.value)));
  bind(section, "b", "by kind", () => show(() => (grouped.value = !grouped.value)));
  bind(section, "x", "fold the kind", () => toggle(chosen.value));
}

export function start(root: HTMLElement): void {
  fit();
  root.replaceChildren();
  render(<App />, root);
  keys();
  onMessages(receive);
}
