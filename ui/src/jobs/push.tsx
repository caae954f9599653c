// One push: header, revisions, error, grid.
import { useEffect, useRef } from "preact/hooks";
import type { Push, State } from "../shell/data.ts";
import { Copy, ended, Icon, Status, STATES, When, WORD } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import { count, verdict } from "./filter.ts";
import type { JobGrid } from "./grid.ts";

const SHOWN_COMMITS = 8;

interface Props {
  repo: string;
  push: Push;
  folded: boolean;
  fold: () => void;
  grid: (box: HTMLElement, push: Push) => JobGrid;
}

export function PushView({ repo, push, folded, fold, grid }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (box.current && !folded) grid(box.current, push);
  }, [push.id, folded]);
  const v = verdict(push, push.cells);
  const here = `/jobs?repo=${encodeURIComponent(repo)}`;
  return (
    <section class={"card push" + (folded ? " folded" : "")} id={`push-${push.id}`} aria-label={`Push ${push.revision.slice(0, 12)}`}>
      <header>
        <button type="button" class="icon-button fold" aria-expanded={!folded} aria-label={folded ? "Unfold push" : "Fold push"} onClick={fold}>
          <Icon name="right" />
        </button>
        <a class="muted" href={`${here}&revision=${push.revision}`}><When at={push.time} /></a>
        <a class="who" href={`${here}&author=${encodeURIComponent(push.email || push.author)}`}>{push.author || push.email}</a>
        {push.branch && <span class="tag"><Icon name="branch" /> {push.branch}</span>}
        <span class="verdict"><Status state={v.state} text={v.text} /></span>
        <span class="muted small num"><Took push={push} /></span>
        <Counts push={push} />
        {push.groupId && <a class="small" href={`/tasks/groups/${push.groupId}`}>Group</a>}
      </header>
      <Strip cells={push.cells} />
      {push.error && <ErrorCard error={push.error} ignored={push.state === "ignored"} />}
      <div class="push-body">
        <Revisions push={push} here={here} />
        <div ref={box} aria-label="Tasks" />
      </div>
    </section>
  );
}

// Took says how long the decision took, and the whole push until its last task ended.
function Took({ push }: { push: Push }) {
  const last = Math.max(0, ...push.cells.map((c) => c.ended));
  const open = push.cells.some((c) => !ended(c.state));
  const parts: string[] = [];
  if (push.decisionMillis > 0 && push.state === "decided") parts.push(`decided in ${push.decisionMillis < 1000 ? push.decisionMillis + " ms" : duration(push.decisionMillis)}`);
  if (!open && last > push.time) parts.push(`done in ${duration(last - push.time)}`);
  return <>{parts.join(", ")}</>;
}

function Counts({ push }: { push: Push }) {
  const n = count(push.cells);
  return (
    <span class="counts">
      {STATES.filter((s) => n[s]).map((s) => (
        <a key={s} class={`status st-${s}`} href={`/tasks/groups/${push.groupId}?state=${s}`}>
          <Icon name={"st-" + s} />
          <span class="num">{n[s]} {WORD[s]}</span>
        </a>
      ))}
    </span>
  );
}

const DONE: State[] = ["passed", "failed", "exception", "cancelled", "running"];

export function Strip({ cells }: { cells: Push["cells"] }) {
  const n = count(cells);
  let x = 0;
  return (
    <svg class="strip" viewBox={`0 0 ${Math.max(1, cells.length)} 1`} preserveAspectRatio="none" aria-hidden="true" height="3">
      {DONE.map((s) => {
        const width = n[s] ?? 0;
        const at = x;
        x += width;
        return width > 0 && <rect key={s} class={s} x={at} width={width} height="1" />;
      })}
    </svg>
  );
}

function ErrorCard({ error, ignored }: { error: NonNullable<Push["error"]>; ignored: boolean }) {
  const place = error.file ? error.file + (error.line ? `:${error.line}` : "") : "";
  return (
    <div class={"notice push-error" + (ignored ? "" : " danger")} role={ignored ? undefined : "alert"}>
      <Icon name="warning" />
      <div class="grow">
        <p><b class="error-code">{error.code}</b>{place && <> in <code class="error-place">{place}</code></>}</p>
        <p class="error-message">{error.message}</p>
        {error.detail && <pre>{error.detail}</pre>}
      </div>
      <Copy text={[error.code, place, error.message, error.detail].filter(Boolean).join("\n")} what="the error" />
    </div>
  );
}

function Revisions({ push, here }: { push: Push; here: string }) {
  const commits = push.commits.length > 0 ? push.commits : [{ revision: push.revision, author: push.author, email: push.email, message: push.message, time: "" }];
  return (
    <ul class="revisions">
      {commits.slice(0, SHOWN_COMMITS).map((c) => (
        <li key={c.revision}>
          <a class="mono" href={`${here}&revision=${c.revision}`} title={c.revision}>{c.revision.slice(0, 10)}</a>
          <span class="subject" title={`${c.author}\n\n${c.message}`}>{c.message.split("\n", 1)[0]}</span>
        </li>
      ))}
      {commits.length > SHOWN_COMMITS && <li><span class="more muted">and {plural(commits.length - SHOWN_COMMITS, "more commit")}</span></li>}
    </ul>
  );
}
