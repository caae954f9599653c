// Bugs that a failure could be, and the form that files a new one.
import { render } from "preact";
import { signal } from "@preact/signals";
import { get, post, Refused } from "./api.ts";
import { Icon } from "./look.tsx";
import { toast } from "./toast.tsx";

export interface Bug {
  id: string; // as people write it into a classification
  summary: string;
  state: string;
  open: boolean;
  url: string;
}

export interface Suggested {
  used: { bug: string; url: string; times: number }[]; // given for the same failure before
  found: Bug[]; // by the tracker
  why: string; // it was not asked, or did not answer
}

export interface Tracker {
  name: string; // "" for none
  form: { url: string; summary: string; description: string };
  canFile: boolean;
  why: string;
}

export interface Suggestions {
  lines: Suggested[]; // as the failure's
  tracker: Tracker;
}

/** What the lines of a run's failure could be; with search the tracker is asked too, which may take seconds. */
export const suggestions = (task: string, run: number, search: boolean, signal?: AbortSignal): Promise<Suggestions> =>
  get(`/ui/api/jobs/bugs/${task}?run=${run}${search ? "&search=1" : ""}`, signal);

/** The bugs of a line: a press takes one. */
export function BugList({ list, take }: { list: Suggested; take: (bug: string) => void }) {
  if (list.used.length === 0 && list.found.length === 0 && !list.why) return null;
  const used = new Set(list.used.map((u) => u.bug.replace(/^#|^bug /i, "")));
  return (
    <ul class="bugs small" aria-label="Bugs it could be">
      {list.used.map((u) => (
        <li key={u.bug} data-bug={u.bug}>
          <button type="button" class="link" title="Pin the task with this bug" onClick={() => take(u.bug)}>{u.bug}</button>
          <span class="muted">given for the same failure {u.times === 1 ? "once" : `${u.times} times`}</span>
          {u.url && <a href={u.url} target="_blank" rel="noopener noreferrer" aria-label={`Open ${u.bug}`}><Icon name="open" /></a>}
        </li>
      ))}
      {list.found.filter((b) => !used.has(b.id.replace(/^#/, ""))).map((b) => (
        <li key={b.id} data-bug={b.id} class={b.open ? "" : "closed"}>
          <button type="button" class="link" title="Pin the task with this bug" onClick={() => take(b.id)}>{b.id}</button>
          <span class="what">{b.summary}</span> <span class="muted">{b.state}</span>
          <a href={b.url} target="_blank" rel="noopener noreferrer" aria-label={`Open ${b.id}`}><Icon name="open" /></a>
        </li>
      ))}
      {list.why && <li class="muted">{list.why}</li>}
    </ul>
  );
}

export interface Filing {
  task: string;
  tracker: Tracker;
  summary: string;
  description: string;
  done: (bug: string) => void; // takes what was filed
}

const MOST_SUMMARY = 255; // characters
const MOST_ADDRESS = 6000; // characters of a description that fit an address

const now = signal<Filing | null>(null);
const summary = signal("");
const description = signal("");
const problem = signal("");
const busy = signal(false);
let dialog: HTMLDialogElement | undefined;

/** What a bug of a failure says at first. */
export function draft(of: { name: string; task: string; run: number; repo: string; revision: string; log: string; lines: { test: string; message: string }[] }): Pick<Filing, "summary" | "description"> {
  const first = of.lines[0];
  const what = [first?.test || of.name, first?.message ?? ""].filter(Boolean).join(" | ");
  const at = location.origin;
  return {
    summary: `Intermittent ${what}`.slice(0, MOST_SUMMARY),
    description: [
      `${of.name} failed${of.revision ? ` at ${of.revision} of ${of.repo}` : ""}.`, "",
      ...of.lines.slice(0, 20).map((l) => [l.test, l.message].filter(Boolean).join(": ")), "",
      `Task: ${at}/tasks/${of.task}/runs/${of.run}`, ...(of.log ? [`Log: ${at}${of.log}`] : []),
      ...(of.revision ? [`Push: ${at}/push/${encodeURIComponent(of.repo)}/${of.revision}`] : []),
    ].join("\n"),
  };
}

/** Opens the form with which a bug is filed. */
export function openFiling(f: Filing): void {
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "file-bug";
    dialog.setAttribute("aria-label", "File a bug");
    document.body.append(dialog);
    render(<Form />, dialog);
  }
  now.value = f;
  summary.value = f.summary;
  description.value = f.description;
  problem.value = "";
  dialog.showModal();
}

async function file(): Promise<void> {
  const f = now.value;
  if (!f || busy.value) return;
  busy.value = true;
  problem.value = "";
  try {
    const { bug, message } = await post<{ bug: Bug; message: string }>(`/ui/api/jobs/bugs/${f.task}`, new URLSearchParams({ summary: summary.value, description: description.value }));
    dialog!.close();
    toast(message, false, { text: "Open it", href: bug.url });
    f.done(bug.id);
  } catch (error) {
    problem.value = error instanceof Refused ? error.message : "The server cannot be reached. The same press again files it once.";
  } finally {
    busy.value = false;
  }
}

function address(f: Filing): string {
  const url = new URL(f.tracker.form.url);
  url.searchParams.set(f.tracker.form.summary, summary.value);
  url.searchParams.set(f.tracker.form.description, description.value.slice(0, MOST_ADDRESS));
  return url.href;
}

function Form() {
  const f = now.value;
  if (!f) return null;
  return (
    <>
      <header>
        <h2>File a bug</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog!.close()}><Icon name="close" /></button>
      </header>
      <form class="body file-bug" onSubmit={(e) => { e.preventDefault(); if (f.tracker.canFile) void file(); }}>
        <p class="muted small">At {f.tracker.name}. What you file is public there if the tracker is.</p>
        <label>Summary <input class="input" name="summary" required maxLength={MOST_SUMMARY} value={summary.value} onInput={(e) => (summary.value = e.currentTarget.value)} /></label>
        <label>Description <textarea class="input mono" name="description" rows={12} value={description.value} onInput={(e) => (description.value = e.currentTarget.value)} /></label>
        {problem.value && <div class="notice danger" role="alert"><Icon name="warning" /><p>{problem.value}</p></div>}
        {f.tracker.why && <p class="why">{f.tracker.why}</p>}
        <div class="acts">
          {f.tracker.canFile && <button type="submit" class="button primary" data-file disabled={busy.value}>{busy.value ? "Filing…" : "File it"}</button>}
          <a class={"button" + (f.tracker.canFile ? "" : " primary")} data-form href={address(f)} target="_blank" rel="noopener noreferrer"><Icon name="open" />Open the tracker's form</a>
          <button type="button" class="button" onClick={() => dialog!.close()}>Cancel</button>
        </div>
      </form>
    </>
  );
}
