// The first tab: why the task is there, how it went, and what it left.
import { useEffect, useState } from "preact/hooks";
import type { Run, TaskData } from "../shell/data.ts";
import { Copy, ended, Icon, Status, Waits, When } from "../shell/look.tsx";
import { duration, now } from "../shell/time.ts";
import { tailOf } from "../log/stream.ts";
import { ArtifactTable } from "./artifacts.tsx";

export function Summary({ d }: { d: TaskData }) {
  return (
    <div class="columns">
      <div class="stack">
        {d.waiting.length > 0 && (
          <section class="card" aria-label="Why it does not run yet">
            <header><h2>Why it does not run yet</h2></header>
            <ul class="body waiting"><Waits list={d.waiting} /></ul>
          </section>
        )}
        <Failures d={d} />
        {d.summaryHtml && (
          <section class="card" aria-label="Summary of the run">
            <header><h2>What it says of itself</h2></header>
            <div class="body run-summary"><Html html={d.summaryHtml} /></div>
          </section>
        )}
        {d.log && <Tail d={d} />}
        {d.descriptionHtml && <section class="card" aria-label="Description"><div class="body"><Html html={d.descriptionHtml} /></div></section>}
        <Runs d={d} />
        {d.artifacts.length > 0 && (
          <section class="card" aria-label="Artifacts">
            <header><h2>Artifacts</h2><span class="muted">{d.artifactCount}</span></header>
            <ArtifactTable list={d.artifacts.slice(0, 8)} />
            {d.artifactCount > 8 && <div class="body"><a href="?tab=artifacts">All {d.artifactCount.toLocaleString()} artifacts</a></div>}
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

function Failures({ d }: { d: TaskData }) {
  if (d.lines.length === 0 && !d.reading) return null;
  return (
    <section class="card failing" aria-label="What failed">
      <header><h2>What failed</h2>{d.lines.length > 0 && <span class="muted">{d.lines.length}</span>}</header>
      {d.reading && <p class="body muted" aria-busy="true">What the run left is being read…</p>}
      <ol>
        {d.lines.map((l, i) => (
          <li key={i}>
            {l.test && <b class="test-name">{l.test}</b>}
            <span class="mono message">{l.message}</span>
            {l.line > 0 && d.logPage && <a class="small nowrap" href={`${d.logPage}#L${l.line}`}>line {l.line.toLocaleString()}</a>}
            {l.excerpt && l.excerpt !== l.message && (
              <details><summary class="small">around it</summary><pre class="code" tabIndex={0}>{l.excerpt}</pre></details>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

const TAIL_BYTES = 16 << 10;
const TAIL_LINES = 30;
const TAIL_MS = 1500;
// eslint-disable-next-line no-control-regex -- colours and other codes of terminals
const CODES = /\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])/g;

function Tail({ d }: { d: TaskData }) {
  const [text, setText] = useState("");
  const growing = !ended(d.state) && d.run === d.runs.length - 1;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      if (document.visibilityState === "visible") {
        const end = await tailOf(d.log, TAIL_BYTES, stop.signal).catch(() => "");
        if (stop.signal.aborted) return;
        if (end !== "") setText(end.replace(CODES, "").trimEnd().split("\n").slice(-TAIL_LINES).map((l) => l.split("\r").at(-1)).join("\n"));
      }
      if (growing) timer = setTimeout(() => void read(), TAIL_MS);
    };
    void read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [d.log, growing]);
  if (text === "") return null;
  return (
    <section class="card" aria-label="End of the log">
      <header><h2>{growing ? "The log now" : "End of the log"}</h2><a href={d.logPage} class="small">all of it</a></header>
      <pre class="code tail" tabIndex={0}>{text}</pre>
    </section>
  );
}

function Runs({ d }: { d: TaskData }) {
  if (d.runs.length === 0) return null;
  return (
    <section class="card" aria-label="Runs">
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
              {r.sentence} {r.worker && <>On <a class="mono" href={`/workers/${d.queue}/${r.worker}`}>{r.worker}</a>. </>}
              <When at={r.ended || r.started || r.scheduled} />
            </span>
            {r.id === d.run && <Stepper r={r} />}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Stepper({ r }: { r: Run }) {
  const steps: [string, number, string][] = [
    ["in line", r.scheduled, ""],
    ["started", r.started, r.started ? `after ${duration(r.started - r.scheduled)}` : ""],
    [r.ended ? r.stateText : "ends", r.ended, r.ended ? `after ${duration(r.ended - (r.started || r.scheduled))}` : ""],
  ];
  return (
    <ol class="stepper" aria-label={`Steps of run ${r.id}`}>
      {steps.map(([name, at, took]) => (
        <li key={name} class={at ? "done" : ""}>
          <b>{name}</b> {at ? <When at={at} /> : <span class="muted">not yet</span>} <span class="muted small">{took}</span>
        </li>
      ))}
    </ol>
  );
}

function Facts({ d }: { d: TaskData }) {
  const last = d.runs[d.runs.length - 1];
  const ran = last?.started ? (last.ended || now.value) - last.started : 0;
  return (
    <section class="card" aria-label="Facts">
      <div class="body">
        <dl class="facts">
          <dt>Task</dt><dd><span class="mono">{d.id}</span> <Copy text={d.id} what="task id" /> <Copy text={location.href} what="link" /> <Copy text={d.curl} what="curl command" /></dd>
          <dt>Queue</dt><dd><a class="mono" href={`/queues/${encodeURIComponent(d.queue)}`}>{d.queue}</a></dd>
          <dt>Priority</dt><dd>{d.priority}</dd>
          <dt>Created</dt><dd><When at={d.created} /></dd>
          {last && <><dt>Waited</dt><dd class="num">{duration((last.started || last.ended || now.value) - last.scheduled)}</dd></>}
          {ran > 0 && (
            <>
              <dt>Ran</dt>
              <dd class="num">
                {duration(ran)}{d.normal.runs > 0 && <span class="muted"> against normally {duration(d.normal.seconds * 1000)} (median of {d.normal.runs})</span>}
              </dd>
            </>
          )}
          <dt>Deadline</dt><dd><When at={d.deadline} /></dd>
          <dt>Expires</dt><dd><When at={d.expires} /></dd>
          <dt>Retries left</dt><dd>{d.retriesLeft}</dd>
          <dt>Owner</dt><dd>{d.owner}</dd>
          <dt>Source</dt><dd>{/^https?:\/\//.test(d.source) ? <a href={d.source} rel="noopener noreferrer nofollow">{d.source}</a> : d.source}</dd>
          <dt>Project</dt><dd>{d.project}</dd>
          <dt>Scheduler</dt><dd class="mono">{d.scheduler}</dd>
          {d.tags.length > 0 && <><dt>Tags</dt><dd>{d.tags.map(([k, v]) => <><span class="tag">{k}: {v}</span> </>)}</dd></>}
          {d.routes.length > 0 && <><dt>Routes</dt><dd class="mono">{d.routes.map((r) => <div>{r}</div>)}</dd></>}
          {d.caches.length > 0 && <><dt>Caches</dt><dd class="mono">{d.caches.map((c) => <div>{c}</div>)}</dd></>}
          {d.scopesSaid.length > 0 && (
            <>
              <dt>Scopes</dt>
              <dd>{d.scopesSaid.map((s) => <div key={s.scope} class="scope"><span class="mono">{s.scope}</span>{s.says && <span class="muted small">{s.says}</span>}</div>)}</dd>
            </>
          )}
        </dl>
        {d.scopesSaid.length === 0 && <p class="muted small"><Icon name="help" /> It has no scopes: it may read what is public, and write its own artifacts.</p>}
      </div>
    </section>
  );
}
