// The log viewer, as a page and as a part of a task's page.
import { render, type ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { bootOf, type LogData } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { copy, Icon } from "../shell/look.tsx";
import { absolute, bytes, duration, plural } from "../shell/time.ts";
import { LogPane } from "./pane.ts";
import { fileBug, readReports, report, reportsOf, takeBack } from "./report.ts";
import type { Section } from "./store.ts";
import type { Times } from "./view.ts";

export { LogPane };

const sideOpen = signal<boolean | null>(null); // null: as it fits

export function LogBox({ pane, data, children }: { pane: LogPane; data: LogData; children?: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => pane.mount(box.current!, data), [pane]);
  useEffect(() => void readReports(data), [data.bytes]);
  const s = pane.shown.value;
  const steps = s.sections.filter((x) => x.failed).length;
  const side = sideOpen.value ?? ((s.errors.length > 0 || steps > 0 || reportsOf(data).length > 0) && matchMedia("(min-width: 1100px)").matches);
  const reports = reportsOf(data);
  const has = s.errors.length > 0 || s.sections.length > 0 || reports.length > 0;
  return (
    <>
      <div class="log-tools">
        <SearchBox pane={pane} />
        <button type="button" class="chip" aria-pressed={pane.follow.value} onClick={() => (pane.follow.value ? pane.setFollow(false) : pane.toEnd())} hidden={!data.growing || s.flow === "done"}>
          <Icon name="end" />follow
        </button>
        <button type="button" class="chip" aria-pressed={pane.wrap.value} onClick={() => pane.setWrap(!pane.wrap.value)}>wrap</button>
        {s.stamped && (
          <select class="input" aria-label="Times" value={pane.times.value} onChange={(e) => pane.setTimes(e.currentTarget.value as Times)}>
            <option value="written">times as written</option>
            <option value="hidden">no times</option>
            <option value="elapsed">time since the line before</option>
          </select>
        )}
        {has && (
          <button type="button" class="chip" aria-pressed={side} data-side onClick={() => (sideOpen.value = !side)}>
            {s.failing > 0 ? <span class="st-failed">{plural(s.failing, "error line")}</span> : plural(s.sections.length, "section")}
          </button>
        )}
        <button type="button" class="button quiet" onClick={() => void pane.copyLines()}>
          <Icon name="copy" />{pane.range.value ? "Copy lines" : "Copy"}
        </button>
        <button type="button" class="button quiet" hidden={!pane.range.value} onClick={() => void copy(location.href, "the link")}>
          <Icon name="link" />Link
        </button>
        {data.report?.possible && pane.range.value && (
          <button type="button" class="button quiet" data-report disabled={!data.report.allowed} title={data.report.why || "Says that the marked line tells of the failure"} onClick={() => void report(pane, data)}>
            <Icon name="warning" />Report as failure
          </button>
        )}
        {data.report?.possible && pane.range.value && data.report.why && <span class="why small">{data.report.why}</span>}
        {data.bug && pane.range.value && (
          <button type="button" class="button quiet" data-file-bug title="Files a bug with the marked lines" onClick={() => void fileBug(pane, data)}>
            <Icon name="file" />File a bug…
          </button>
        )}
        <a class="button quiet" href={data.raw}><Icon name="open" />Raw</a>
        <span class="muted small num grow log-size">
          {plural(s.total, "line")}, {bytes(s.bytes)}
          {s.flow === "following" && " so far"}
          {s.flow === "broken" && <b class="st-failed"> · connection lost, trying again</b>}
        </span>
        {children}
      </div>
      {s.cutAt > 0 && (
        <p class="notice log-cut">
          <Icon name="warning" />
          <span>The log ends here because its run ended before it was whole, on <time dateTime={new Date(s.cutAt).toISOString()}>{absolute(s.cutAt)}</time>. The worker may be lost.</span>
        </p>
      )}
      <div class={"log-body" + (side && has ? " with-side" : "")}>
        <div class="log">
          <div class="log-scroll" ref={box} tabIndex={0} role="log" aria-live="off" aria-label="Log" />
          <Empty pane={pane} data={data} />
          {pane.fresh.value > 0 && (
            <button type="button" class="button primary log-new" onClick={() => pane.toEnd()}>
              <Icon name="end" />{plural(pane.fresh.value, "new line")}
            </button>
          )}
        </div>
        {side && has && <Side pane={pane} data={data} />}
      </div>
      <Whole pane={pane} />
    </>
  );
}

function Empty({ pane, data }: { pane: LogPane; data: LogData }) {
  const { flow, problem, total } = pane.shown.value;
  const f = pane.found.value;
  if (total > 0 && pane.only.value && f.on && f.count === 0 && !f.running) return <p class="log-note">No line matches. All lines come back with “only matches” off.</p>;
  if (total > 0) return null;
  return <p class="log-note">{flow === "gone" ? problem : flow === "done" ? "The log is empty." : flow === "following" && data.growing ? "No output yet." : "Loading…"}</p>;
}

const MAX_SIDE = 300; // entries of a list

function Side({ pane, data }: { pane: LogPane; data: LogData }) {
  const { errors, failing, sections } = pane.shown.value;
  const parts = sections.filter((s) => s.to === 0 || s.to > s.from || s.failed);
  const reports = reportsOf(data);
  return (
    <aside class="log-side" aria-label="What stands out">
      {reports.length > 0 && (
        <section>
          <h2>Reported lines</h2>
          <ol>
            {reports.map((r) => (
              <li key={r.id} data-reported={r.line}>
                <button type="button" class="st-failed" onClick={() => pane.goTo(r.line - 1)}><span class="num">{r.line.toLocaleString()}</span> {r.message}</button>
                <span class="muted small">by {r.by}</span>{" "}
                {data.report?.allowed && <button type="button" class="link" data-take-back onClick={() => void takeBack(data, r.id)}>take back</button>}
              </li>
            ))}
          </ol>
        </section>
      )}
      {errors.length > 0 && (
        <section>
          <h2>Error lines</h2>
          <ol>
            {errors.slice(0, MAX_SIDE).map((e) => (
              <li key={e.line}>
                <button type="button" class="st-failed" data-error={e.line} onClick={() => pane.goTo(e.line - 1)}>
                  <span class="num">{e.line.toLocaleString()}</span> {e.text.slice(0, 300)}
                </button>
              </li>
            ))}
          </ol>
          {failing > Math.min(errors.length, MAX_SIDE) && <p class="muted small">and {(failing - Math.min(errors.length, MAX_SIDE)).toLocaleString()} more</p>}
        </section>
      )}
      {parts.length > 0 && (
        <section>
          <h2>Sections</h2>
          <p class="small">
            <button type="button" class="link" onClick={() => pane.foldEach(true)}>fold all</button> <button type="button" class="link" onClick={() => pane.foldEach(false)}>unfold all</button>
          </p>
          <ol>
            {parts.slice(0, MAX_SIDE).map((s) => (
              <li key={s.from} style={{ paddingLeft: `${s.depth * 12}px` }}>
                <button type="button" class={s.failed ? "st-failed" : ""} data-section={s.from} onClick={() => pane.goTo(s.from - 1)}>
                  {s.title}{s.failed && " (failed)"} <span class="muted">{took(s)}</span>
                </button>
              </li>
            ))}
          </ol>
          {parts.length > MAX_SIDE && <p class="muted small">and {(parts.length - MAX_SIDE).toLocaleString()} more</p>}
        </section>
      )}
    </aside>
  );
}

const took = (s: Section): string => (s.to === 0 ? "goes on" : s.ended > s.began && s.began > 0 ? duration(s.ended - s.began) : "");

function SearchBox({ pane }: { pane: LogPane }) {
  const q = pane.query.value;
  const f = pane.found.value;
  const hits = f.problem && f.count === 0 ? f.problem
    : f.count > 0 ? `${(f.now + 1).toLocaleString()} of ${f.count.toLocaleString()}${f.running ? "…" : ""}${f.problem ? " so far: " + f.problem : ""}`
    : !f.on ? "" : f.running ? "searching…" : "no hits";
  return (
    <>
      <input
        class="input" type="search" data-find placeholder="Find in the log" aria-label="Find in the log" value={q.text}
        onInput={(e) => pane.type({ ...q, text: e.currentTarget.value })}
        onKeyDown={(e) => {
          if (e.key === "Enter") pane.hit(e.shiftKey ? -1 : 1);
        }}
      />
      <button type="button" class="chip" aria-pressed={q.case} title="Capital letters differ from small ones" aria-label="Capital letters differ" onClick={() => pane.type({ ...q, case: !q.case })}>Aa</button>
      <button type="button" class="chip" aria-pressed={q.regex} title="Regular expression (RE2)" aria-label="Regular expression" onClick={() => pane.type({ ...q, regex: !q.regex })}>.*</button>
      <button type="button" class="chip" aria-pressed={pane.only.value} hidden={!f.on} data-only onClick={() => pane.setOnly(!pane.only.value)}>only matches</button>
      <span class="hits" aria-live="polite">{hits}</span>
    </>
  );
}

const BLOCK = 8000; // characters laid out at once

// Whole shows a line that is too long for the list.
function Whole({ pane }: { pane: LogPane }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const long = pane.long.value;
  useEffect(() => {
    if (long && !dialog.current!.open) dialog.current!.showModal();
  }, [long]);
  const blocks: string[] = [];
  for (let i = 0; long && i < long.text.length; i += BLOCK) blocks.push(long.text.slice(i, i + BLOCK));
  return (
    <dialog class="log-whole" ref={dialog} aria-label="A long line" onClose={() => (pane.long.value = null)}>
      {long && (
        <>
          <header>
            <h2>Line {(long.line + 1).toLocaleString()}, {plural(long.text.length, "character")}</h2>
            <button type="button" class="button quiet" onClick={() => void copy(long.text, "the line")}><Icon name="copy" />Copy</button>
            <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog.current!.close()}><Icon name="close" /></button>
          </header>
          <div class="text" tabIndex={0}>{blocks.map((b, i) => <span key={i}>{b}</span>)}</div>
        </>
      )}
    </dialog>
  );
}

function focusSearch(): boolean {
  const input = document.querySelector<HTMLInputElement>(".log-tools [data-find]");
  if (!input || document.activeElement === input) return false;
  input.focus();
  input.select();
  return true;
}

function askLine(pane: LogPane): void {
  const dialog = document.createElement("dialog");
  dialog.className = "log-line";
  dialog.setAttribute("aria-label", "Go to a line");
  document.body.append(dialog);
  const close = () => {
    dialog.close();
    render(null, dialog);
    dialog.remove();
  };
  render(
    <form
      onSubmit={(e) => {
        e.preventDefault();
        const n = Number(e.currentTarget.querySelector("input")!.value);
        close();
        if (n >= 1) pane.goTo(n - 1);
      }}
    >
      <label>Go to line <input class="input" type="number" min="1" max={Math.max(1, pane.shown.value.total)} required autofocus /></label>
      <button class="button primary">Go</button>
    </form>,
    dialog,
  );
  dialog.addEventListener("cancel", () => setTimeout(close));
  dialog.showModal();
}

export function bindKeys(pane: LogPane, data: LogData): void {
  const section = "Log";
  bind(section, "n", "next error line", () => pane.step(1));
  bind(section, "p", "previous error line", () => pane.step(-1));
  bind(section, ">", "next hit (enter in the search)", () => pane.hit(1));
  bind(section, "<", "previous hit (shift+enter in the search)", () => pane.hit(-1));
  bind(section, ":", "go to a line", () => askLine(pane));
  bind(section, "G", "end", () => pane.toEnd());
  bind(section, "T", "top", () => pane.toStart());
  bind(section, "F", "follow", () => (pane.follow.value ? pane.setFollow(false) : pane.toEnd()));
  bind(section, "w", "wrap long lines", () => pane.setWrap(!pane.wrap.value));
  bind(section, "o", "only matches", () => pane.setOnly(!pane.only.value));
  bind(section, "y", "copy the link to the marked lines", () => void copy(location.href, "the link"));
  bind(section, "c", "copy the marked lines", () => void pane.copyLines());
  bind(section, "R", "report the marked line as what tells of the failure", () => void report(pane, data));
  bind(section, "L", "raw log", () => location.assign(data.raw));
  addEventListener("hashchange", () => pane.restore());
  // The first time the page's own search, which knows the whole log; the second time the browser's.
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "f" && focusSearch()) e.preventDefault();
  });
}

export function start(root: HTMLElement): void {
  const { data } = bootOf<LogData>();
  const box = root.querySelector<HTMLElement>("#log");
  if (!box || data.bytes === "") return;
  const pane = new LogPane();
  bindKeys(pane, data);
  box.replaceChildren();
  box.className = "log-app";
  render(<LogBox pane={pane} data={data} />, box);
}
