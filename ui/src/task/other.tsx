// Tests, similar tasks and history.
import type { Run, State, TaskData } from "../shell/data.ts";
import { Icon, Status, When } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import { Load } from "./load.tsx";

interface Test {
  name: string;
  suite: string;
  seconds: number;
  text?: string;
}

interface TestSummary {
  tests?: number;
  passed: number;
  failed: number;
  skipped: number;
  seconds: number;
  failures: Test[];
  slowest: Test[];
}

export function Tests({ d }: { d: TaskData }) {
  if (d.run < 0) return <p class="muted">The task has not run: there are no tests yet.</p>;
  return (
    <Load<TestSummary> path={`/ui/api/tasks/${d.id}/tests?run=${d.run}`} again={d.artifactCount}>
      {(s) => s.tests === undefined
        ? <p class="muted">This run has left no summary of tests. Workers write one of JUnit files and of “go test -json” among the artifacts.</p>
        : (
          <>
            <p class="test-counts">
              <Status state="failed" text={`${s.failed} failed`} /> <Status state="passed" text={`${s.passed} passed`} /> <Status state="cancelled" text={`${s.skipped} skipped`} />{" "}
              <span class="muted">of {plural(s.tests, "test")} in {duration(s.seconds * 1000)}</span>
            </p>
            {s.failures.length > 0 && (
              <section class="card">
                <header><h2>Failed</h2><span class="muted">{s.failures.length}</span></header>
                {s.failures.map((t) => (
                  <details key={t.suite + t.name} class="test">
                    <summary><b>{t.name}</b> <span class="muted small">{t.suite} · {duration(t.seconds * 1000)}</span></summary>
                    <pre class="code" tabIndex={0}>{t.text}</pre>
                  </details>
                ))}
              </section>
            )}
            {s.slowest.length > 0 && (
              <section class="card">
                <header><h2>Slowest</h2></header>
                <table class="list"><tbody>{s.slowest.map((t) => <tr key={t.suite + t.name}><td>{t.name} <span class="muted small">{t.suite}</span></td><td class="num">{duration(t.seconds * 1000)}</td></tr>)}</tbody></table>
              </section>
            )}
          </>
        )}
    </Load>
  );
}

interface SimilarTask {
  push: number;
  revision: string;
  time: number;
  state: State;
  seconds: number;
  taskId: string;
  passed: number;
  failed: number;
  lost: number;
}

export function Similar({ d }: { d: TaskData }) {
  return (
    <Load<{ similar: SimilarTask[]; repo: string; label: string }> path={`/ui/api/tasks/${d.id}/similar`} again={d.state}>
      {({ similar, repo, label }) => {
        if (similar.length === 0) return <p class="muted">Nothing is known of tasks like this one on other pushes.</p>;
        const passed = similar.filter((s) => s.state === "passed").length;
        return (
          <>
            <p class="similar-head">
              <b>{label}</b> passed on {passed} of the last {plural(similar.length, "push", "pushes")} that ran it{" "}
              <span class="push-strip" aria-hidden="true">{similar.toReversed().map((s) => <i key={s.push} class={s.state === "exception" ? "" : s.state} title={`${s.revision.slice(0, 10)}: ${s.state}`} />)}</span>
            </p>
            <div class="card table-box">
              <table class="list">
                <thead><tr><th>Push</th><th>Outcome</th><th class="num">Took</th><th>When</th><th>Runs</th></tr></thead>
                <tbody>
                  {similar.map((s) => (
                    <tr key={s.push} aria-current={s.taskId === d.id ? "true" : undefined}>
                      <td><a href={`/push/${encodeURIComponent(repo)}/${s.revision}`}><code>{s.revision.slice(0, 10)}</code></a></td>
                      <td><a href={`/tasks/${s.taskId}`}><Status state={s.state} /></a></td>
                      <td class="num">{duration(s.seconds * 1000)}</td>
                      <td class="muted nowrap"><When at={s.time} /></td>
                      <td class="muted small">{[s.passed && `${s.passed} passed`, s.failed && `${s.failed} failed`, s.lost && `${s.lost} lost`].filter(Boolean).join(", ")}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </>
        );
      }}
    </Load>
  );
}

interface Said {
  id: number;
  class: string;
  bug: string;
  note: string;
  by: string;
  time: number;
  undone: string;
}

export function History({ d }: { d: TaskData }) {
  return (
    <Load<{ said: Said[] }> path={`/ui/api/tasks/${d.id}/said`} again={d.state + d.runs.length}>
      {({ said }) => (
        <ol class="history card">
          {said.map((s) => (
            <li key={s.id}>
              <Icon name="link" />
              <span>{s.by} classified it as <b>{s.class}</b>{s.bug && ` (${s.bug})`}{s.note && `: ${s.note}`}{s.undone && <span class="muted"> · taken back by {s.undone}</span>}</span>
              <span class="muted nowrap"><When at={s.time} /></span>
            </li>
          ))}
          {d.runs.toReversed().flatMap((r) => moments(r)).map(([what, at], i) => (
            <li key={i}><Icon name="right" /><span>{what}</span><span class="muted nowrap"><When at={at} /></span></li>
          ))}
          <li><Icon name="right" /><span>It was created.</span><span class="muted nowrap"><When at={d.created} /></span></li>
        </ol>
      )}
    </Load>
  );
}

function moments(r: Run): [string, number][] {
  const list: [string, number][] = [];
  if (r.ended) list.push([`Run ${r.id} ended: ${r.sentence}`, r.ended]);
  if (r.started) list.push([`Run ${r.id} started on ${r.worker}.`, r.started]);
  list.push([`Run ${r.id} was put in line.`, r.scheduled]);
  return list;
}
