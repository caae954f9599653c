import { duration } from "../shell/time.ts";
import { chooseKind, graph, group } from "./model.ts";
import type { Spread } from "./data.ts";

const hours = (ms: number): string => (ms / 3_600_000).toLocaleString(undefined, { maximumFractionDigits: 1 });

function Row({ name, s }: { name: string; s: Spread }) {
  return <tr><th scope="row">{name}</th><td>{duration(s.p50)}</td><td>{duration(s.p75)}</td><td>{duration(s.p99)}</td><td>{duration(s.max)}</td><td>{hours(s.sum)}</td></tr>;
}

export function StatsView() {
  const g = graph.value;
  if (!g) return <p class="muted">Counting…</p>;
  const s = g.stats;
  const names = new Map(group.value.cells.map((c) => [c.id, c.name]));
  return (
    <div class="stack group-stats">
      <section class="card">
        <h2>From the first task to the last</h2>
        <p class="big num">{s.first ? duration(s.last - s.first) : "nothing could run yet"}</p>
        <p class="muted">{s.tasks.toLocaleString()} tasks{s.open > 0 && `, ${s.open.toLocaleString()} not ended`}. Workers were busy for {hours(s.ran.sum)} hours; tasks waited for workers for {hours(s.waited.sum)} hours.</p>
        <div class="table-box">
          <table class="list">
            <thead><tr><th></th><th>half up to</th><th>75 % up to</th><th>99 % up to</th><th>longest</th><th>hours</th></tr></thead>
            <tbody><Row name="ran" s={s.ran} /><Row name="waited for a worker" s={s.waited} /></tbody>
          </table>
        </div>
      </section>
      <section class="card">
        <h2>Critical path, {duration(g.takes)}</h2>
        <p class="muted">The chain of tasks, each of which needs the one before, that took the longest: what to make faster first.</p>
        <ol class="critical-list">{g.critical.map((id) => <li key={id}><a href={`/tasks/${id}`}>{names.get(id) ?? id}</a></li>)}</ol>
      </section>
      <section class="card">
        <h2>By kind</h2>
        <div class="table-box">
          <table class="list">
            <thead><tr><th>Kind</th><th>tasks</th><th>failed</th><th>ran, half up to</th><th>99 % up to</th><th>waited, half up to</th><th>hours</th></tr></thead>
            <tbody>
              {g.kinds.map((k) => (
                <tr key={k.name}>
                  <td>{k.other ? k.name : <button type="button" class="link" onClick={() => chooseKind(k.name)}>{k.name}</button>}</td><td>{k.tasks.toLocaleString()}</td><td>{(k.states.failed ?? 0) + (k.states.exception ?? 0)}</td>
                  <td>{duration(k.ran.p50)}</td><td>{duration(k.ran.p99)}</td><td>{duration(k.waited.p50)}</td><td>{hours(k.ran.sum)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </div>
  );
}
