// Lines of which somebody says that they tell of the run's failure.
import { signal } from "@preact/signals";
import { get, post, Refused } from "../shell/api.ts";
import type { LogData, Message, Reported } from "../shell/data.ts";
import { onMessages } from "../shell/live.ts";
import { toast } from "../shell/toast.tsx";
import type { LogPane } from "./pane.ts";
import { STAMP } from "./view.ts";

const lists = signal<Record<string, Reported[]>>({}); // by the address of the log

export const reportsOf = (data: LogData): Reported[] => lists.value[data.bytes] ?? [];

/** Reads which lines of a log are reported, and again whenever that may have changed. */
export async function readReports(data: LogData): Promise<void> {
  if (!data.report?.possible) return;
  if (!following.has(data.bytes)) {
    following.add(data.bytes);
    onMessages((list: Message[]) => {
      if (list.some((m) => m.kind === "failures-changed" || m.kind === "reset")) void readReports(data);
    });
  }
  try {
    const { reports } = await get<{ reports: Reported[] }>(`${data.bytes}/reports`);
    lists.value = { ...lists.value, [data.bytes]: reports };
  } catch {
    // The log is there without it.
  }
}

const following = new Set<string>();
let busy = false;

async function send(data: LogData, path: string, form: URLSearchParams, more?: (answer: { message: string; report?: number }) => void): Promise<void> {
  if (busy) return;
  busy = true;
  try {
    const answer = await post<{ message: string; report?: number }>(path, form);
    if (more) more(answer);
    else toast(answer.message);
    await readReports(data);
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  } finally {
    busy = false;
  }
}

/** Says of the marked lines that they tell of the failure; the message takes it back. */
export async function report(pane: LogPane, data: LogData): Promise<void> {
  const range = pane.range.value;
  if (!data.report?.possible) return toast("Only of a run of a push that failed can lines be reported.");
  if (!range) return toast("Mark a line first: click its number.");
  if (!data.report.allowed) return toast(data.report.why, true);
  await send(data, data.bytes, new URLSearchParams({ from: String(range[0] + 1), to: String(range[1] + 1) }), (answer) => {
    toast(answer.message, false, { text: "Undo", run: () => void takeBack(data, answer.report!) });
  });
}

/** Opens the form of a bug that has the marked lines. */
export async function fileBug(pane: LogPane, data: LogData): Promise<void> {
  if (!data.bug) return;
  try {
    const { draft, openFiling, suggestions } = await import("../shell/bugs.tsx"); // pages of tasks load no form that few use
    const [{ tracker }, marked] = await Promise.all([suggestions(data.taskId, data.run, false), pane.lines()]);
    const lines = marked.map((l) => ({ test: "", message: l.replace(STAMP, "").trim() })).filter((l) => l.message);
    openFiling({ task: data.taskId, tracker, ...draft({ ...data.bug, task: data.taskId, run: data.run, log: (data.page ?? location.pathname) + location.hash, lines }), done: () => {} });
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  }
}

export async function takeBack(data: LogData, id: number): Promise<void> {
  await send(data, `/ui/api/reports/${data.taskId}/${id}/undo`, new URLSearchParams());
}
