// The pinboard: tasks one puts aside to say something of them, or to do something to them, all at once.
import { computed, signal } from "@preact/signals";
import { bootOf } from "../shell/data.ts";
import { Icon } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { act, classify, retrigger, undo } from "./deeds.ts";
import { CLASS_WORD } from "./grid.ts";
import { cellOf, data, pushes, select } from "./model.ts";

export const MOST = 500;
const SHOWN = 60;

const pins = signal<ReadonlySet<string>>(new Set());
const cls = signal(4);
const bug = signal("");
const note = signal("");
const saved = signal<number[]>([]); // what the last saving wrote, to take back
export const open = computed(() => pins.value.size > 0 || saved.value.length > 0);

export const pinned = (id: string): boolean => pins.value.has(id);
export const pinnedIds = (): string[] => [...pins.value];

function put(next: ReadonlySet<string>): void {
  const changed = new Set([...pins.value, ...next].filter((id) => pins.value.has(id) !== next.has(id)));
  pins.value = next;
  if (next.size > 0) saved.value = [];
  for (const p of pushes.value) for (const id of changed) p.grid?.repaint(id);
}

/** Pins tasks; what does not fit any more is refused, with a message. */
export function pin(ids: string[]): void {
  const next = new Set(pins.value);
  let refused = 0;
  for (const id of ids) {
    if (next.has(id)) continue;
    if (next.size >= MOST) refused++;
    else next.add(id);
  }
  put(next);
  if (refused > 0) toast(`The pinboard holds ${MOST} tasks: ${refused.toLocaleString()} ${refused === 1 ? "was" : "were"} not pinned.`, true);
}

export function togglePin(id: string): void {
  if (!pins.value.has(id)) return pin([id]);
  const next = new Set(pins.value);
  next.delete(id);
  put(next);
}

/** Pins a task with the bug that it is. */
export function pinWith(id: string, of: string): void {
  pin([id]);
  bug.value = of;
  focusField("bug");
}

export function clear(): void {
  put(new Set());
  saved.value = [];
  bug.value = note.value = "";
}

export async function save(): Promise<void> {
  const ids = pinnedIds();
  if (ids.length === 0) {
    toast("Pin a task first: space pins the selected one.");
    return;
  }
  if (!bootOf().user) {
    toast("Sign in to classify: it needs triage:classify:" + data.repo + ".", true);
    return;
  }
  const said = await classify(ids, cls.value, bug.value.trim(), note.value.trim());
  if (!said) return;
  clear();
  saved.value = said.map((s) => s.id);
  toast(`${plural(said.length, "task")} classified as ${CLASS_WORD[said[0]!.class]}.`);
}

async function takeBack(): Promise<void> {
  const ids = saved.value;
  if (await undo(ids)) saved.value = [];
}

/** Puts the cursor into a field of the pinboard. */
export function focusField(name: "bug" | "note"): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(`.pins [name=${name}]`)?.focus());
}

// A comment that is a revision says what fixed it.
function pasted(text: string): void {
  if (/^[0-9a-f]{12,40}$/.test(text.trim())) cls.value = 2;
}

export function Pinboard() {
  const ids = [...pins.value];
  if (ids.length === 0) {
    return (
      <div class="pins">
        <span>{plural(saved.value.length, "task")} classified.</span>
        <button type="button" class="button" data-undo onClick={() => void takeBack()}>Undo</button>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => (saved.value = [])}><Icon name="close" /></button>
      </div>
    );
  }
  const failing = ids.filter((id) => cellOf(id));
  return (
    <form class="pins" aria-label="Pinboard" onSubmit={(e) => { e.preventDefault(); void save(); }}>
      <b class="num pin-count">{ids.length} pinned</b>
      <ul class="pin-list">
        {ids.slice(0, SHOWN).map((id) => {
          const c = cellOf(id);
          return (
            <li key={id}>
              <button type="button" class={`pin-chip st-${c?.state ?? "pending"}`} title={c?.name ?? id} onClick={() => select(id)}>{c ? (c.group === "?" ? "" : c.group + "-") + c.symbol : id.slice(0, 6)}</button>
              <button type="button" class="unpin" aria-label={`Unpin ${c?.name ?? id}`} onClick={() => togglePin(id)}>×</button>
            </li>
          );
        })}
        {ids.length > SHOWN && <li class="muted">and {ids.length - SHOWN} more</li>}
      </ul>
      <label class="visually-hidden" for="pin-class">Class</label>
      <select id="pin-class" class="input" name="class" value={cls.value} onChange={(e) => (cls.value = Number(e.currentTarget.value))}>
        {[4, 2, 3, 5, 6, 7, 8].map((n) => <option key={n} value={n}>{CLASS_WORD[n]}</option>)}
      </select>
      <input class="input" name="bug" placeholder="Bug" aria-label="Bug" value={bug.value} onInput={(e) => (bug.value = e.currentTarget.value)} />
      <input
        class="input wide" name="note" placeholder="Comment" aria-label="Comment" value={note.value} list="pin-commits"
        onInput={(e) => { note.value = e.currentTarget.value; pasted(note.value); }}
      />
      <datalist id="pin-commits">
        {pushes.value.slice(0, 20).map((p) => <option key={p.id} value={p.info.value.revision}>{p.info.value.message.split("\n", 1)[0]}</option>)}
      </datalist>
      <button type="submit" class="button primary" data-save>Classify</button>
      <details class="menu right up">
        <summary class="button" aria-label="More for all pinned">All…</summary>
        <div class="drop">
          <button type="button" onClick={() => void act("rerun", ids)}>Rerun all {ids.length}</button>
          <button type="button" onClick={() => void retrigger(ids)}>Retrigger all {ids.length}</button>
          <button type="button" class="grave" onClick={() => void act("cancel", ids)}>Cancel all {ids.length}</button>
          <button type="button" onClick={() => void undo(failing.flatMap((id) => cellOf(id)?.said?.id ?? []))}>Unclassify all</button>
          <button type="button" onClick={clear}>Clear the pinboard</button>
        </div>
      </details>
    </form>
  );
}
