// Requests to the server of this page, and nobody else.
import { bootOf, type Act } from "./data.ts";
import { refusedBy, toast } from "./toast.tsx";

export class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function answer<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  let message = `The server answered ${response.status}.`;
  try {
    message = ((await response.json()) as { message: string }).message || message;
  } catch {
    // not JSON: something between us and the server answered
  }
  refusedBy(response.headers.get("X-Request-Id") ?? "");
  throw new Refused(response.status, message);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answer<T>(await fetch(path, { headers: { Accept: "application/json" }, signal: signal ?? null }));
}

export async function post<T>(path: string, form: URLSearchParams): Promise<T> {
  return answer<T>(await fetch(path, { method: "POST", headers: { Accept: "application/json", "X-CSRF": bootOf().csrf }, body: form }));
}

const busy = new Set<string>();

/** Does something to a task and says how it went. While one is under way, the same again does nothing. */
export async function act(name: Act["name"], taskId: string): Promise<boolean> {
  const key = name + taskId;
  if (busy.has(key)) return false;
  busy.add(key);
  try {
    const path = `/ui/api/tasks/${taskId}/${name}`;
    const headers = { Accept: "application/json", "X-CSRF": bootOf().csrf };
    const { message } = await answer<{ message: string }>(await fetch(path, { method: "POST", headers }));
    toast(message);
    return true;
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
    return false;
  } finally {
    setTimeout(() => busy.delete(key), 500);
  }
}
