// What the task page shows, and how it is read anew.
import { signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import { bootOf, type TaskData } from "../shell/data.ts";
import { query, setQuery } from "../shell/url.ts";

export const TABS = ["summary", "log", "artifacts", "tests", "definition", "deps", "similar", "history"] as const;
export type Tab = (typeof TABS)[number];

export const TITLES: Record<Tab, string> = {
  summary: "Summary", log: "Log", artifacts: "Artifacts", tests: "Tests", definition: "Definition", deps: "Dependencies", similar: "Similar", history: "History",
};

export const task = signal<TaskData>(bootOf<TaskData>().data);
export const tab = signal<Tab>(tabOf());

export function tabOf(): Tab {
  const t = query().get("tab") as Tab;
  return TABS.includes(t) ? t : "summary";
}

export function show(t: Tab): void {
  tab.value = t;
  setQuery({ tab: t === "summary" ? null : t }, true);
}

let latest = 0;

/** Reads the task anew; of answers that cross, only the one asked for last counts. */
export async function reload(): Promise<void> {
  const mine = ++latest;
  const run = /\/runs\/(\d+)$/.exec(location.pathname)?.[1];
  try {
    const d = await get<TaskData>(`/ui/api/tasks/${task.value.id}${run ? `?run=${run}` : ""}`);
    if (mine === latest) task.value = d;
  } catch {
    // The header says when the server is away; the page keeps what it knows.
  }
}
