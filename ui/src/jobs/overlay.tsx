// Jobs that a push could run, greyed among its tasks: filter them by name, click or key to choose some, run them.
import { computed, signal } from "@preact/signals";
import { get, post, Refused } from "../shell/api.ts";
import { unpack, type Columns } from "../shell/cells.ts";
import type { Cell } from "../shell/data.ts";
import { duration, plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { addJobs } from "./deeds.ts";
import { ensure, pushes, type PushModel } from "./model.ts";

/** As many as the server takes at once. */
const MOST = 1000;
const FILTER_MS = 60;
const ESTIMATE_MS = 250;

interface Offered {
  columns: Columns;
  allowed: boolean;
  why: string;
}

interface Estimate {
  seconds: number;
  guessed: number;
  cost: string;
}

/** The push whose jobs are shown; null for none. */
export const offering = signal<PushModel | null>(null);
const all = signal<Cell[] | null>(null); // null: being read
const shown = signal<Cell[]>([]);
const rights = signal({ allowed: false, why: "" });
const problem = signal("");
const words = signal("");
const chosen = signal<ReadonlySet<string>>(new Set());
const estimate = signal<Estimate | null>(null);
const busy = signal(false);
let texts: string[] = []; // by which all are found
let key = "";
let timer: ReturnType<typeof setTimeout> | undefined;
let pricing: ReturnType<typeof setTimeout> | undefined;

const labelOf = (id: string): string => id.slice(4);
export const isChosen = (id: string): boolean => chosen.value.has(id);

// What exists by now is not offered, whoever made it.
const left = computed(() => {
  const p = offering.value;
  void p?.stats.value;
  const names = new Set((p?.cells ?? []).map((c) => c.name));
  return shown.value.filter((c) => !names.has(c.name));
});

const newKey = (): string => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

/** Shows what a push could run among its tasks. */
export async function offer(p: PushModel): Promise<void> {
  if (offering.value === p) return close();
  close();
  offering.value = p;
  key = newKey();
  const group = p.info.value.groupId;
  try {
    const [found] = await Promise.all([get<Offered>(`/ui/api/jobs/runnable/${group}`), ensure(p)]);
    if (offering.value !== p) return;
    const started = performance.now();
    all.value = unpack(found.columns).map((c) => ({ ...c, id: `new:${c.name}`, ghost: true }));
    texts = all.value.map((c) => `${c.name} ${c.platform} ${c.groupName} ${c.group} ${c.symbol}`.toLowerCase());
    rights.value = { allowed: found.allowed, why: found.why };
    filter();
    performance.measure("treeline-overlay", { start: started });
    requestAnimationFrame(() => document.querySelector<HTMLElement>(".adding [name=words]")?.focus());
  } catch (error) {
    if (offering.value === p) problem.value = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
}

export function close(): void {
  const p = offering.value;
  if (!p) return;
  clearTimeout(timer);
  clearTimeout(pricing);
  offering.value = all.value = estimate.value = null;
  shown.value = [];
  texts = [];
  chosen.value = new Set();
  problem.value = words.value = "";
  p.grid?.offer([]);
}

// filter shows what has all words, and what is chosen.
function filter(): void {
  const list = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  shown.value = (all.value ?? []).filter((c, i) => list.every((w) => texts[i]!.includes(w)) || chosen.value.has(c.id));
  offering.value?.grid?.offer(shown.value);
}

/** Shows the jobs anew in a grid that was made anew. */
export function again(p: PushModel): void {
  if (offering.value === p && all.value) p.grid?.offer(shown.value);
}

function type(text: string): void {
  words.value = text;
  clearTimeout(timer);
  timer = setTimeout(filter, FILTER_MS);
}

/** Chooses jobs; where all are chosen already they are not any more. */
export function choose(ids: string[]): void {
  if (ids.length === 0) return;
  const next = new Set(chosen.value);
  if (ids.every((id) => next.has(id))) for (const id of ids) next.delete(id);
  else for (const id of ids) if (next.size < MOST) next.add(id);
  if (next.size === MOST && !ids.every((id) => next.has(id))) toast(`At most ${MOST} jobs are added at once.`, true);
  put(next);
}

function put(next: ReadonlySet<string>): void {
  const before = chosen.value;
  chosen.value = next;
  for (const id of new Set([...before, ...next])) if (before.has(id) !== next.has(id)) offering.value?.grid?.repaint(id);
  estimate.value = null;
  clearTimeout(pricing);
  if (next.size > 0 && rights.value.allowed) pricing = setTimeout(() => void reckon(next), ESTIMATE_MS);
}

const form = (ids: ReadonlySet<string>): URLSearchParams => new URLSearchParams([...ids].map((id) => ["label", labelOf(id)]));

async function reckon(ids: ReadonlySet<string>): Promise<void> {
  try {
    const e = await post<Estimate>(`/ui/api/jobs/estimate/${offering.value!.info.value.groupId}`, form(ids));
    if (chosen.value === ids) estimate.value = e;
  } catch {
    // Without it one still can add them.
  }
}

/** Asks the push's decision for what is chosen. */
export async function trigger(): Promise<void> {
  const p = offering.value;
  const ids = [...chosen.value];
  if (!p || busy.value) return;
  if (ids.length === 0) return toast("Choose a job first: click it, or press space.");
  if (!rights.value.allowed) return toast(rights.value.why, true);
  busy.value = true;
  const made = await addJobs(p.info.value.groupId, ids.map(labelOf), key);
  busy.value = false;
  if (made !== null && offering.value === p) close();
}

function keys(e: KeyboardEvent): void {
  const input = e.target instanceof HTMLInputElement;
  if (e.key === "Escape") {
    if (words.value !== "" && input) type("");
    else close();
  } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) void trigger();
  else if (input && (e.key === "ArrowDown" || e.key === "Enter")) offering.value?.grid?.enter();
  else return;
  e.preventDefault();
  e.stopPropagation();
}

function about(e: Estimate): string {
  if (e.seconds <= 0) return "how long they take is not known yet";
  const time = e.seconds < 5400 ? duration(e.seconds * 1000) : `${(e.seconds / 3600).toLocaleString(undefined, { maximumFractionDigits: 1 })} hours`;
  return [`about ${time} of workers`, e.cost && `about ${e.cost}`, e.guessed > 0 && `${e.guessed} never passed here`].filter(Boolean).join(", ");
}

/** The bar with which jobs are added. */
export function Adding() {
  const p = offering.value!;
  const n = chosen.value.size;
  const list = left.value;
  const { allowed, why } = rights.value;
  return (
    <section class="adding" aria-label="Add new jobs" onKeyDown={keys}>
      <b>Add jobs to <span class="mono">{p.info.value.revision.slice(0, 10)}</span></b>
      {problem.value ? (
        <p class="why" role="alert">{problem.value}</p>
      ) : !all.value ? (
        <p class="muted" aria-busy="true">Reading what this push could run…</p>
      ) : (
        <>
          <input
            class="input" type="search" name="words" placeholder="Filter jobs by name" aria-label="Filter jobs by name" value={words.value} autocomplete="off" spellcheck={false}
            onInput={(e) => type(e.currentTarget.value)}
          />
          <span class="muted small num" aria-live="polite">{list.length === all.value.length ? plural(list.length, "job") : `${list.length.toLocaleString()} of ${plural(all.value.length, "job")}`}</span>
          {list.length > 0 && list.length <= MOST && !list.every((c) => chosen.value.has(c.id)) && (
            <button type="button" class="button" data-choose-all onClick={() => choose(list.map((c) => c.id).filter((id) => !chosen.value.has(id)))}>Choose these {list.length.toLocaleString()}</button>
          )}
          <span class="grow small muted estimate" aria-live="polite">{n > 0 && estimate.value && about(estimate.value)}{!allowed && <span class="why">{why}</span>}</span>
          {n > 0 && <button type="button" class="button quiet" onClick={() => put(new Set())}>Clear</button>}
          <button type="button" class="button primary" data-add disabled={!allowed || n === 0 || busy.value} onClick={() => void trigger()}>
            {busy.value ? "Asking…" : n === 0 ? "Choose jobs" : `Trigger ${plural(n, "job")}`}
          </button>
        </>
      )}
      <button type="button" class="button" onClick={close}>Cancel</button>
    </section>
  );
}

// A push that is not there any more has nothing to add to.
pushes.subscribe((list) => {
  if (offering.value && !list.includes(offering.value)) close();
});
