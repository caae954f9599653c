// The dialog that adds jobs to a push: search in all labels of its decision's graph, choose some, run them.
import { signal } from "@preact/signals";
import { render } from "preact";
import { get, Refused } from "../shell/api.ts";
import { bootOf } from "../shell/data.ts";
import { Icon } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { addJobs } from "./deeds.ts";
import { search, type Hit } from "./fuzzy.ts";

const SHOWN = 50;

interface Labels {
  labels: string[];
  allowed: boolean;
  why: string;
}

const found = signal<Labels | null>(null);
const problem = signal("");
const query = signal("");
const hits = signal<Hit[]>([]);
const chosen = signal<ReadonlySet<string>>(new Set());
const marked = signal(0);
let group = "";
let key = "";
let dialog: HTMLDialogElement | undefined;

function look(text: string): void {
  query.value = text;
  marked.value = 0;
  const started = performance.now();
  hits.value = search(found.value?.labels ?? [], text, SHOWN);
  performance.measure("treeline-fuzzy", { start: started });
}

function toggle(label: string): void {
  const next = new Set(chosen.value);
  if (!next.delete(label)) next.add(label);
  chosen.value = next;
}

async function trigger(): Promise<void> {
  const labels = [...chosen.value];
  if (labels.length === 0) return;
  if ((await addJobs(group, labels, key)) !== null) dialog?.close();
}

function keys(e: KeyboardEvent): void {
  const by = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
  if (by !== 0) {
    e.preventDefault();
    marked.value = Math.max(0, Math.min(hits.value.length - 1, marked.value + by));
    document.querySelector(".job-labels .now")?.scrollIntoView({ block: "nearest" });
  } else if (e.key === "Enter") {
    e.preventDefault();
    if (e.ctrlKey || e.metaKey) void trigger();
    else if (hits.value[marked.value]) toggle(hits.value[marked.value]!.label);
  }
}

function Marked({ hit }: { hit: Hit }) {
  const at = new Set(hit.at);
  return <>{[...hit.label].map((letter, i) => (at.has(i) ? <mark>{letter}</mark> : letter))}</>;
}

const focusIt = (field: HTMLElement | null): void => field?.focus();

function Dialog() {
  const f = found.value;
  return (
    <>
      <header>
        <h2>Add jobs</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog?.close()}><Icon name="close" /></button>
      </header>
      <div class="body add-jobs">
        {problem.value && <div class="notice danger"><Icon name="warning" /><p>{problem.value}</p></div>}
        {!f && !problem.value && <p class="muted">Reading what this push could run…</p>}
        {f && (
          <>
            <input
              class="input" type="text" list={undefined} aria-label="Search jobs" placeholder={`Search ${plural(f.labels.length, "job")}`} value={query.value} ref={focusIt}
              role="combobox" aria-expanded="true" aria-controls="job-labels" aria-activedescendant={hits.value.length > 0 ? `label-${marked.value}` : undefined}
              onInput={(e) => look(e.currentTarget.value)} onKeyDown={keys}
            />
            <ul class="job-labels" id="job-labels" role="listbox" aria-label="Jobs" aria-multiselectable="true">
              {hits.value.map((h, i) => (
                <li key={h.label} id={`label-${i}`} role="option" aria-selected={chosen.value.has(h.label)} class={i === marked.value ? "now" : ""} onClick={() => toggle(h.label)}>
                  <span class="check" aria-hidden="true">{chosen.value.has(h.label) ? "✓" : ""}</span>
                  <span class="label"><Marked hit={h} /></span>
                </li>
              ))}
            </ul>
            {hits.value.length === 0 && <p class="muted">No job fits.</p>}
            <div class="acts">
              <button type="button" class="button primary" data-trigger disabled={!f.allowed || chosen.value.size === 0} onClick={() => void trigger()}>
                {chosen.value.size === 0 ? "Choose what to run" : `Trigger ${plural(chosen.value.size, "new job")}`}
              </button>
              {chosen.value.size > 0 && <button type="button" class="button" onClick={() => (chosen.value = new Set())}>Clear</button>}
            </div>
            {!f.allowed && <p class="why">{f.why}</p>}
            {chosen.value.size > 0 && <ul class="chosen small mono">{[...chosen.value].map((l) => <li key={l}>{l}</li>)}</ul>}
          </>
        )}
      </div>
    </>
  );
}

/** Opens the dialog for the push of a task group. */
export async function openAdd(of: string): Promise<void> {
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "add-jobs";
    dialog.setAttribute("aria-label", "Add jobs");
    dialog.addEventListener("click", (e) => {
      if (e.target === dialog) dialog!.close();
    });
    document.body.append(dialog);
    render(<Dialog />, dialog);
  }
  if (group !== of) {
    found.value = null;
    chosen.value = new Set();
  }
  group = of;
  key = crypto.randomUUID?.() ?? `${bootOf().user}-${Date.now()}-${Math.random()}`;
  problem.value = "";
  if (!dialog.open) dialog.showModal();
  try {
    found.value ??= await get<Labels>(`/ui/api/jobs/labels/${of}`);
    look(query.value);
    dialog.querySelector<HTMLElement>("input")?.focus(); // where it was there before
  } catch (error) {
    problem.value = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
}
