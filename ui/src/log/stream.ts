// Brings a log's bytes into the buffer, from where it was when the connection broke.
import type { LogBuffer } from "./buffer.ts";

export type Flow = "loading" | "following" | "done" | "broken" | "gone";

export interface Reader {
  stop: () => void;
}

/** Reads url into buffer until the log has ended; changed is called after each piece. */
export function read(url: string, buffer: LogBuffer, changed: (flow: Flow, problem?: string) => void): Reader {
  const abort = new AbortController();
  void run(url, buffer, changed, abort.signal);
  return { stop: () => abort.abort() };
}

async function run(url: string, buffer: LogBuffer, changed: (flow: Flow, problem?: string) => void, signal: AbortSignal): Promise<void> {
  let offset = 0;
  let wait = 500;
  const decoder = new TextDecoder();
  while (!signal.aborted && !buffer.cut) {
    try {
      const response = await fetch(`${url}${url.includes("?") ? "&" : "?"}offset=${offset}`, { signal });
      if (response.status === 404 || response.status === 410 || response.status === 403) {
        changed("gone", ((await response.json()) as { message: string }).message);
        return;
      }
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      const growing = response.headers.get("X-Log-Growing") === "true";
      const reader = response.body.getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        wait = 500;
        offset += value.length;
        buffer.append(decoder.decode(value, { stream: true }));
        changed(growing ? "following" : "loading");
        if (buffer.cut) {
          await reader.cancel();
          break;
        }
      }
      if (!growing || buffer.cut) {
        changed("done");
        return;
      }
      // A growing log's stream ends when the log does, or when a proxy lost patience: ask again.
    } catch {
      if (signal.aborted) return;
      changed("broken");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(10_000, wait * 2);
  }
}
