// What a person wants to know first about a push, computed from its tasks.
import type { Cell, Push, State } from "../shell/data.ts";
import { bad, ended } from "../shell/look.tsx";
import { duration, plural } from "../shell/time.ts";
import { classOf, settled } from "./filter.ts";

/** Reasons for which a run ends that are nobody's change. */
const INFRA = new Set(["worker-shutdown", "claim-expired", "internal-error", "resource-unavailable", "deadline-exceeded", "intermittent-task"]);

export type Kind = "new" | "known" | "infra";

/** What a failure is, as far as the data says: known is what somebody has classified, what failed in the push before, and what passes elsewhere in this push. */
export function kindOf(c: Cell, known: Set<string>, green: Set<string>): Kind {
  const of = classOf(c);
  if (of === 5) return "infra";
  if (of === 6) return "new";
  if (settled(c) || of === 7 || of === 8) return "known";
  if (c.state === "exception" && INFRA.has(c.reason)) return "infra";
  return known.has(c.name) || green.has(c.name) ? "known" : "new";
}

export interface Stats {
  total: number;
  counts: Partial<Record<State, number>>;
  kinds: Record<Kind, number>; // of failures
  unclassified: number; // failures that want somebody to look
  fixed: number; // by a commit
  open: number; // not ended
  percent: number; // ended, of all
  left: number; // milliseconds until all has ended, as far as one can tell; 0 unknown
  wait: number; // milliseconds in the queue: the middle one
  waited: number; // of how many
  used: number; // milliseconds of work
  last: number; // when the last ended
}

const middle = (list: number[]): number => (list.length === 0 ? 0 : list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!);

/** Names of which a task failed and another passed in the same push. */
export function mixed(cells: Iterable<Cell>): Set<string> {
  const failed = new Set<string>();
  const list = [...cells];
  for (const c of list) if (bad(c.state)) failed.add(c.name);
  const out = new Set<string>();
  if (failed.size > 0) for (const c of list) if (c.state === "passed" && failed.has(c.name)) out.add(c.name);
  return out;
}

export function statsOf(cells: Cell[], known: Set<string>, now: number): Stats {
  const green = mixed(cells);
  const s: Stats = { total: cells.length, counts: {}, kinds: { new: 0, known: 0, infra: 0 }, unclassified: 0, fixed: 0, open: 0, percent: 0, left: 0, wait: 0, waited: 0, used: 0, last: 0 };
  const waits: number[] = [];
  const took = new Map<string, number[]>(); // by group
  const all: number[] = [];
  let begun = Infinity;
  let done = 0;
  for (const c of cells) {
    s.counts[c.state] = (s.counts[c.state] ?? 0) + 1;
    s.used += c.before ?? 0;
    if (c.started) {
      waits.push(c.started - c.scheduled);
      s.used += Math.max(0, (c.ended || now) - c.started);
      begun = Math.min(begun, c.started);
    }
    if (ended(c.state)) {
      s.last = Math.max(s.last, c.ended);
      if (c.started && c.ended) {
        done++;
        const t = c.ended - c.started;
        all.push(t);
        const list = took.get(c.groupName + c.group);
        if (list) list.push(t);
        else took.set(c.groupName + c.group, [t]);
      }
    } else s.open++;
    if (bad(c.state)) {
      s.kinds[kindOf(c, known, green)]++;
      if (!settled(c)) s.unclassified++;
      if (classOf(c) === 2) s.fixed++;
    }
  }
  s.percent = s.total > 0 ? Math.floor(((s.total - s.open) / s.total) * 100) : 0;
  s.wait = middle(waits);
  s.waited = waits.length;
  if (s.open > 0 && done >= 3) s.left = remaining(cells, took, middle(all), s.open, done, begun, now);
  return s;
}

// remaining is the longer of: what runs must still take, by how long its like took; and what waits, at the pace so far.
function remaining(cells: Cell[], took: Map<string, number[]>, usual: number, open: number, done: number, begun: number, now: number): number {
  let longest = 0;
  const of = new Map<string, number>();
  for (const c of cells) {
    if (c.state !== "running" && c.state !== "pending" && c.state !== "unscheduled") continue;
    const key = c.groupName + c.group;
    let expected = of.get(key);
    if (expected === undefined) of.set(key, (expected = took.has(key) ? middle(took.get(key)!) : usual));
    longest = Math.max(longest, c.started ? c.started + expected - now : expected);
  }
  const pace = (now - begun) / done;
  return Math.max(longest, open * pace, 1000);
}

/** The verdict in a word, with its state. */
export function verdict(state: Push["state"], s: Stats): { state: State; text: string } {
  if (state === "failed") return { state: "failed", text: "No tasks: the decision failed" };
  if (state === "ignored") return { state: "cancelled", text: "Nothing to do" };
  const failures = (s.counts.failed ?? 0) + (s.counts.exception ?? 0);
  if (failures > 0) return { state: s.kinds.new > 0 || s.kinds.known + s.kinds.infra === 0 ? "failed" : "cancelled", text: failuresText(s, failures) };
  if (s.total === 0 || state === "received" || state === "deciding") return { state: "running", text: "Deciding" };
  if (s.open > 0) return { state: "running", text: "No failures" };
  const cancelled = s.counts.cancelled ?? 0;
  if (cancelled > 0) return { state: "cancelled", text: cancelled === s.total ? "Cancelled" : `${cancelled} cancelled` };
  return { state: "passed", text: "All passed" };
}

function failuresText(s: Stats, failures: number): string {
  const { new: fresh, known, infra } = s.kinds;
  if (fresh + known + infra === 0) return `${failures} failed`; // only counted
  return [fresh > 0 ? plural(fresh, "new failure") : "", known > 0 ? `${known} known` : "", infra > 0 ? `${infra} infra` : ""].filter(Boolean).join(", ");
}

/** How far a push is. */
export function progress(s: Stats): string {
  if (s.total === 0) return "";
  if (s.open === 0) return "complete";
  return `${s.percent}%, ${s.open.toLocaleString()} to go${s.left > 0 ? `, about ${duration(s.left)}` : ""}`;
}
