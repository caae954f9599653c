// One push: header, revisions, error, grid.
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { ActionMenu } from "../shell/actions.tsx";
import type { Cell, Push, State } from "../shell/data.ts";
import { bad, Copy, ended, Icon, Status, STATES, When, WORD } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import { setQuery } from "../shell/url.ts";
import { toast } from "../shell/toast.tsx";
import { act, retrigger } from "./deeds.ts";
import { openAdd } from "./add.tsx";
import { offer, offering } from "./overlay.tsx";
import { matches, type Filter } from "./filter.ts";
import { ensure, notices, type PushModel } from "./model.ts";
import { pin } from "./pins.tsx";
import { progress, verdict, type Stats } from "./stats.ts";

const SHOWN_COMMITS = 8;

interface Props {
  repo: string;
  push: PushModel;
  folded: boolean;
  fold: () => void;
  grid: (box: HTMLElement, push: PushModel) => void;
  fresh: (p: PushModel) => number; // tasks that ended since somebody looked
  filter: () => Filter;
}

export function PushView({ repo, push: model, folded, fold, grid, fresh, filter }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const push = model.info.value;
  const s = model.stats.value;
  useEffect(() => {
    if (box.current && !folded) grid(box.current, model);
  }, [push.id, folded]);
  const v = verdict(push.state, s);
  const here = `/jobs?repo=${encodeURIComponent(repo)}`;
  const seen = fresh(model);
  return (
    <section class={"card push" + (folded ? " folded" : "")} id={`push-${push.id}`} aria-label={`Push ${push.revision.slice(0, 12)}`} tabIndex={-1}>
      <header>
        <button type="button" class="icon-button fold" aria-expanded={!folded} aria-label={folded ? "Unfold push" : "Fold push"} onClick={fold}><Icon name="right" /></button>
        <a class="muted when" href={`${here}&revision=${push.revision}`}><When at={push.time} /></a>
        <a class="who" href={`${here}&author=${encodeURIComponent(push.email || push.author)}`}>{push.author || push.email}</a>
        {push.branch && <span class="tag" title={push.branch}><Icon name="branch" /> {push.branch}</span>}
        <span class="push-verdict"><Status state={v.state} text={v.text} /></span>
        <span class="muted small num progress">{progress(s)}</span>
        <span class="counts"><Counts push={push} stats={s} /></span>
        <PushMenu model={model} filter={filter} here={here} />
        {push.groupId && <ActionMenu group={push.groupId} />}
      </header>
      <Strip stats={s} />
      {push.error && <ErrorCard error={push.error} ignored={push.state === "ignored"} />}
      <div class="push-body">
        <div class="push-side">
          <Revisions push={push} here={here} />
          <p class="muted small num times"><Times push={push} stats={s} /></p>
          {seen > 0 && <p class="small seen"><span class="dot" aria-hidden="true" />{plural(seen, "task")} ended since you looked</p>}
        </div>
        <div class="grid-box">
          {!model.cells && s.total > 0 && <p class="muted small unread">{plural(s.total, "task")}: <button type="button" class="button small" onClick={() => void ensure(model).then(() => model.grid?.draw())}>Show</button></p>}
          <div ref={box} data-name={`Tasks of ${push.revision.slice(0, 12)}`} />
        </div>
      </div>
    </section>
  );
}

// Times says how long the decision took, how long tasks waited, and the whole push until its last task ended.
function Times({ push, stats: s }: { push: Push; stats: Stats }) {
  const parts: string[] = [];
  if (push.decisionMillis > 0 && push.state === "decided") parts.push(`decided in ${push.decisionMillis < 1000 ? push.decisionMillis + " ms" : duration(push.decisionMillis)}`);
  if (s.waited > 0) parts.push(`waited ${duration(s.wait)}`);
  if (s.used > 0) parts.push(s.used < 360_000 ? `${duration(s.used)} used` : `${(s.used / 3_600_000).toLocaleString(undefined, { maximumFractionDigits: s.used < 36_000_000 ? 1 : 0 })} hours used`);
  if (s.open === 0 && s.last > push.time) parts.push(`done in ${duration(s.last - push.time)}`);
  if (s.fixed > 0) parts.push(`${s.fixed} fixed by commit`);
  return <>{parts.join(", ")}</>;
}

// Every state has a place of its own, so that numbers that come and go move nothing.
function Counts({ push, stats: s }: { push: Push; stats: Stats }) {
  return (
    <>
      {STATES.map((state) => (
        <a
          key={state} class={`status st-${state}${s.counts[state] ? "" : " none"}`} href={`/tasks/groups/${push.groupId}?state=${state}`} title={`${s.counts[state] ?? 0} ${WORD[state]}`}
          aria-hidden={s.counts[state] ? undefined : "true"} tabIndex={s.counts[state] ? 0 : -1}
        >
          <Icon name={"st-" + state} />
          <span class="num">{(s.counts[state] ?? 0).toLocaleString()}</span><span class="visually-hidden"> {WORD[state]}</span>
        </a>
      ))}
    </>
  );
}

const asked = signal(""); // what was pressed once and touches much

function PushMenu({ model, filter, here }: { model: PushModel; filter: () => Filter; here: string }) {
  const box = useRef<HTMLDetailsElement>(null);
  const push = model.info.value;
  const cells = (f: (c: Cell) => boolean): string[] => (model.cells ?? []).filter(f).map((c) => c.id);
  const done = (f: () => void) => () => {
    f();
    if (box.current) box.current.open = false;
  };
  const twice = (name: string, text: string, ids: string[], f: () => void, grave = false) => {
    const key = `${push.id}${name}`;
    return (
      <button
        type="button" class={grave ? "grave" : ""} data-menu={name} disabled={ids.length === 0}
        onClick={() => {
          if (asked.value !== key) asked.value = key;
          else {
            asked.value = "";
            done(f)();
          }
        }}
      >
        {asked.value === key ? `${text}: really?` : text}
      </button>
    );
  };
  const failedTests = cells((c) => c.state === "failed" && !/^(build|lint|source-test)/.test(c.name));
  const failed = cells((c) => bad(c.state));
  const open = cells((c) => !ended(c.state));
  const watch = ["Watch this push", "Watching: tells when complete", "Watching: tells of each failure"][model.watch.value]!;
  return (
    <details
      class="menu right push-menu" ref={box}
      onToggle={() => {
        asked.value = "";
        if (box.current?.open) void ensure(model).then(() => (model.info.value = { ...model.info.value }));
      }}
    >
      <summary class="button" aria-label={`Push ${push.revision.slice(0, 12)}: what to do`}><Icon name="menu" /></summary>
      <div class="drop">
        {push.groupId && <button type="button" data-menu="overlay" onClick={done(() => void offer(model))}>{offering.value === model ? "Hide jobs to add" : "Add new jobs"}</button>}
        {push.groupId && <button type="button" data-menu="add" onClick={done(() => void openAdd(push.groupId))}>Add new jobs by search…</button>}
        {twice("rerun-failed", `Rerun ${failed.length} failed`, failed, () => void act("rerun", failed))}
        {twice("retrigger-failed", `Retrigger ${failedTests.length} failed tests`, failedTests, () => void retrigger(failedTests))}
        <button type="button" data-menu="pin" onClick={done(() => pin(cells((c) => matches(c, filter()))))}>Pin all shown</button>
        {twice("cancel", `Cancel ${open.length} tasks`, open, () => void act("cancel", open), true)}
        <button type="button" data-menu="watch" onClick={() => void watchNext(model)}>{watch}</button>
        <hr />
        <a href={`${here}&tochange=${push.revision}`} onClick={(e) => { e.preventDefault(); setQuery({ tochange: push.revision }); location.reload(); }}>Set as top of range</a>
        <a href={`${here}&fromchange=${push.revision}`} onClick={(e) => { e.preventDefault(); setQuery({ fromchange: push.revision }); location.reload(); }}>Set as bottom of range</a>
        {push.groupId && <a href={`/tasks/groups/${push.groupId}`}>Task group</a>}
        {push.groupId && <a href={`/tasks/groups/${push.groupId}/trace`}>Trace</a>}
      </div>
    </details>
  );
}

async function watchNext(p: PushModel): Promise<void> {
  p.watch.value = (p.watch.value + 1) % 3;
  if (p.watch.value > 0 && "Notification" in window && Notification.permission === "default") await Notification.requestPermission();
}

const told = new Set<number>();

notices.push((p, c) => {
  if (p.watch.value === 2 && bad(c.state)) tell(`${c.name} ${WORD[c.state]}`);
  if (p.watch.value === 1 && ended(c.state)) setTimeout(() => {
    p.restat();
    if (p.stats.value.open > 0 || told.has(p.id)) return;
    told.add(p.id);
    tell(`Push ${p.info.value.revision.slice(0, 10)} is complete: ${verdict(p.info.value.state, p.stats.value).text}`);
  }, 0);
});

function tell(text: string): void {
  if ("Notification" in window && Notification.permission === "granted") new Notification("Treeline", { body: text });
  else toast(text);
}

const DONE: State[] = ["passed", "failed", "exception", "cancelled", "running"];

function Strip({ stats: s }: { stats: Stats }) {
  let x = 0;
  return (
    <svg class="strip" viewBox={`0 0 ${Math.max(1, s.total)} 1`} preserveAspectRatio="none" aria-hidden="true" height="3">
      {DONE.map((state) => {
        const width = s.counts[state] ?? 0;
        const at = x;
        x += width;
        return width > 0 && <rect key={state} class={state} x={at} width={width} height="1" />;
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
        {error.detail && <pre tabIndex={0}>{error.detail}</pre>}
      </div>
      <Copy text={[error.code, place, error.message, error.detail].filter(Boolean).join("\n")} what="the error" />
    </div>
  );
}

const initials = (name: string): string => name.split(/\s+/).map((w) => w[0] ?? "").join("").slice(0, 2).toUpperCase();

const BACKOUT = /^(back(ed)?[ -]?out|revert)/i;

function Revisions({ push, here }: { push: Push; here: string }) {
  const commits = push.commits.length > 0 ? push.commits : [{ revision: push.revision, author: push.author, email: push.email, message: push.message, time: "" }];
  return (
    <ul class="revisions">
      {commits.slice(0, SHOWN_COMMITS).map((c) => (
        <li key={c.revision} class={BACKOUT.test(c.message) ? "backout" : ""}>
          <a class="mono" href={`${here}&revision=${c.revision}`} title={c.revision}>{c.revision.slice(0, 10)}</a>
          <span class="avatar" title={c.author} aria-label={c.author}>{initials(c.author)}</span>
          <span class="subject" title={`${c.author}\n\n${c.message}`}>{c.message.split("\n", 1)[0]}</span>
        </li>
      ))}
      {commits.length > SHOWN_COMMITS && <li><span class="more muted">and {plural(commits.length - SHOWN_COMMITS, "more commit")}</span></li>}
    </ul>
  );
}

