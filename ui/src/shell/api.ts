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

/** Sends a change. Where that takes a fresh sign-in the person is asked for one, and may send it once more. */
export async function post<T>(path: string, form?: URLSearchParams): Promise<T> {
  const response = await fetch(path, { method: "POST", headers: { Accept: "application/json", "X-CSRF": bootOf().csrf }, body: form ?? null });
  if (response.status === 403) {
    const told = (await response.clone().json().catch(() => ({}))) as { code?: string; message?: string };
    if (told.code === "SignInAgain") {
      const { signInAgain } = await import("./again.ts");
      if (await signInAgain(told.message ?? "")) return post(path, form);
    }
  }
  return answer<T>(response);
}

const busy = new Set<string>();

/** Does something to a task and says how it went. While one is under way, the same again does nothing. */
export async function act(name: Act["name"], taskId: string): Promise<boolean> {
  const key = name + taskId;
  if (busy.has(key)) return false;
  busy.add(key);
  try {
    const { message } = await post<{ message: string }>(`/ui/api/tasks/${taskId}/${name}`);
    toast(message);
    return true;
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
    return false;
  } finally {
    setTimeout(() => busy.delete(key), 500);
  }
}
