// What one does to tasks, one or many: each press is one request, and a second press within half a second is none.
import { post, Refused } from "../shell/api.ts";
import { bootOf, type Said } from "../shell/data.ts";
import { toast } from "../shell/toast.tsx";
import { sayAll } from "./model.ts";

const busy = new Set<string>();
const GUARD_MS = 500;

async function once<T>(key: string, work: () => Promise<T>): Promise<T | null> {
  if (busy.has(key)) return null;
  busy.add(key);
  try {
    return await work();
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
    return null;
  } finally {
    setTimeout(() => busy.delete(key), GUARD_MS);
  }
}

const form = (values: [string, string][]): URLSearchParams => new URLSearchParams([["csrf", bootOf().csrf], ...values]);

export interface Outcome {
  done: string[];
  refused: { task: string; why: string }[];
  message: string;
}

/** Reruns or cancels tasks. */
export async function act(what: "rerun" | "cancel", ids: string[], say?: (o: Outcome) => string): Promise<boolean> {
  return (await once(what + ids.join(), async () => {
    for (let i = 0; i < ids.length; i += 500) {
      const o = await post<Outcome>(`/ui/api/jobs/act/${what}`, form(ids.slice(i, i + 500).map((id) => ["task", id])));
      toast(say?.(o) ?? o.message, o.refused.length > 0);
    }
    return true;
  })) ?? false;
}

/** Makes new tasks like the given ones. */
export async function retrigger(ids: string[]): Promise<void> {
  await once("retrigger" + ids.join(), async () => {
    const o = await post<{ message?: string }>("/ui/api/retrigger", form(ids.map((id) => ["task", id])));
    toast(o.message ?? `${ids.length} retriggered.`);
  });
}

/** Says what failures are. The toast takes it back. */
export async function classify(ids: string[], cls: number, bug: string, note: string): Promise<Said[] | null> {
  return once("classify" + ids.join(), async () => {
    const { classes } = await post<{ classes: Said[] }>("/ui/api/jobs/classify", form([["class", String(cls)], ["bug", bug], ["note", note], ...ids.map((id): [string, string] => ["task", id])]));
    sayAll(classes);
    return classes;
  });
}

export async function undo(ids: number[]): Promise<boolean> {
  return (await once("undo" + ids.join(), async () => {
    const { classes } = await post<{ classes: Said[] }>("/ui/api/jobs/undo", form(ids.map((id) => ["id", String(id)])));
    sayAll(classes);
    toast("Taken back.");
    return true;
  })) ?? false;
}

/** Has a push's decision make more of what it could run; what it answers with is the task that does so. */
export async function addJobs(group: string, labels: string[], key: string): Promise<string | null> {
  return once("add" + group, async () => {
    const o = await post<{ taskId: string; message: string }>(`/ui/api/jobs/add/${group}`, form([["key", key], ...labels.map((l): [string, string] => ["label", l])]));
    toast(o.message, false, { text: "See the task", href: `/tasks/${o.taskId}` });
    return o.taskId;
  });
}
