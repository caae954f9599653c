// Small parts that all pages show: icons, states, times, copy buttons.
import { bootOf, type State, type Wait } from "./data.ts";
import { absolute, now, relative } from "./time.ts";
import { toast } from "./toast.tsx";

export const STATES: State[] = ["failed", "exception", "running", "pending", "unscheduled", "passed", "cancelled"];

export const WORD: Record<State, string> = {
  failed: "failed",
  exception: "exception",
  running: "running",
  pending: "pending",
  unscheduled: "waiting",
  passed: "passed",
  cancelled: "cancelled",
  retried: "retried",
};

/** Whether a person must look at it. */
export const bad = (s: State): boolean => s === "failed" || s === "exception";

export const ended = (s: State): boolean => s === "passed" || s === "failed" || s === "exception" || s === "cancelled";

export function Icon({ name, class: more }: { name: string; class?: string }) {
  return (
    <svg class={"icon" + (more ? " " + more : "")} aria-hidden="true">
      <use href={`${bootOf().icons}#${name}`} />
    </svg>
  );
}

export function Status({ state, text, big }: { state: State; text?: string; big?: boolean }) {
  return (
    <span class={`status st-${state}${big ? " big" : ""}`}>
      <Icon name={"st-" + state} class={state === "running" ? "pulse" : ""} />
      <span>{text ?? WORD[state]}</span>
    </span>
  );
}

export function When({ at }: { at: number }) {
  if (!at) return null;
  return (
    <time dateTime={new Date(at).toISOString()} title={absolute(at)}>
      {relative(at, now.value)}
    </time>
  );
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied ${what}.`);
  } catch {
    toast(`The browser did not allow to copy ${what}.`, true);
  }
}

export function Copy({ text, what }: { text: string; what: string }) {
  return (
    <button type="button" class="icon-button" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={() => void copy(text, what)}>
      <Icon name="copy" />
    </button>
  );
}

/** Why a task does not run yet. */
export function Waits({ list }: { list: Wait[] }) {
  return (
    <>
      {list.map((w) => (
        <li>
          {w.id && <a href={`/tasks/${w.id}`}>{w.name}</a>} {w.text}
        </li>
      ))}
    </>
  );
}
