// A trace as the page knows it, and what is shown of it.
import { computed, signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import { bootOf, type Message } from "../shell/data.ts";
import { query, setQuery } from "../shell/url.ts";
import type { Trace } from "./data.ts";
import { linesOf, stepsByRow } from "./lines.ts";

export const trace = signal<Trace>(bootOf<Trace>().data);
export const text = signal(query().get("q") ?? "");
export const critical = signal(query().get("critical") === "1");
export const grouped = signal(query().get("by") === "kind");
export const shut = signal<ReadonlySet<string>>(new Set());
export const chosen = signal(-1);
export const view = signal<[number, number]>([0, 1000]); // milliseconds since the start
let fitted = true;

export const lines = computed(() => linesOf(trace.value, { text: text.value, critical: critical.value, grouped: grouped.value, shut: shut.value }));
export const steps = computed(() => stepsByRow(trace.value));

const whole = (): number => Math.max(1000, trace.value.takes);

export function fit(): void {
  fitted = true;
  view.value = [0, whole()];
}

/** Zooms by a factor around a place in the view, from 0 to 1. */
export function zoom(factor: number, at = 0.5): void {
  const [from, to] = view.value;
  const length = Math.min(whole(), Math.max(100, (to - from) * factor));
  const fix = from + (to - from) * at;
  keepIn(fix - length * at, length);
}

/** Moves the view by a part of its width. */
export function pan(part: number): void {
  const [from, to] = view.value;
  keepIn(from + (to - from) * part, to - from);
}

function keepIn(from: number, length: number): void {
  const first = Math.min(Math.max(0, from), Math.max(0, whole() - length));
  fitted = length >= whole();
  view.value = [first, first + length];
}

export function choose(i: number): void {
  chosen.value = Math.max(-1, Math.min(lines.value.length - 1, i));
}

export function move(by: number): void {
  // The first step chooses the first line, but for those that go to an end.
  if (lines.value.length > 0) choose(Math.max(0, chosen.value < 0 && by === 1 ? 0 : chosen.value + by));
}

/** Opens the task of the chosen line. */
export function open(): void {
  const l = lines.value[chosen.value];
  if (l?.row?.what === "task") location.assign(`/tasks/${l.row.id}`);
  else if (l && !l.row) toggle(chosen.value);
}

/** Folds the kind of a line up, or unfolds it. */
export function toggle(i: number, fold?: boolean): void {
  const l = lines.value[i];
  if (!l || !grouped.value) return;
  const kind = l.row ? l.row.kind || "no kind" : l.name;
  const next = new Set(shut.value);
  if (fold ?? !next.has(kind)) next.add(kind);
  else next.delete(kind);
  shut.value = next;
  choose(lines.value.findIndex((x) => x.key === `kind ${kind}`));
}

/** Folds all kinds up, or unfolds them. */
export function toggleAll(): void {
  const kinds = lines.value.filter((l) => !l.row).map((l) => l.name);
  shut.value = shut.value.size < kinds.length ? new Set(kinds) : new Set();
  chosen.value = -1;
}

/** Changes what is shown, with the line that is chosen where it still is. */
export function show(change: () => void): void {
  const key = lines.value[chosen.value]?.key;
  change();
  setQuery({ q: text.value || null, critical: critical.value ? "1" : null, by: grouped.value ? "kind" : null });
  chosen.value = lines.value.findIndex((l) => l.key === key);
}

/** Goes to the line of a task, whatever hides it. */
export function goTo(id: string): void {
  const at = () => lines.value.findIndex((l) => l.key === id);
  if (at() < 0) {
    show(() => {
      text.value = "";
      critical.value = false;
      shut.value = new Set();
    });
  }
  choose(at());
}

/** Goes to the next line on the critical path. */
export function nextCritical(by: 1 | -1): void {
  const list = lines.value;
  for (let i = chosen.value + by; i >= 0 && i < list.length; i += by) {
    if (list[i]!.critical && list[i]!.row) return choose(i);
  }
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** Reads the trace again soon after something happened; a large one less often. */
export function receive(list: Message[]): void {
  if (!list.some((m) => m.kind === "reset" || m.groupId === trace.value.taskGroupId || !trace.value.taskGroupId)) return;
  timer ??= setTimeout(async () => {
    timer = undefined;
    try {
      const key = lines.value[chosen.value]?.key;
      const { data, file } = trace.value;
      trace.value = { ...(await get<Trace>(data)), data, file };
      if (fitted) fit();
      chosen.value = lines.value.findIndex((l) => l.key === key);
    } catch {
      // The header says when the server is away; the page keeps what it knows.
    }
  }, trace.value.rows.length > 2000 ? 10_000 : 1000);
}
