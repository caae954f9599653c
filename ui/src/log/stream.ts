// Brings a log's bytes into the buffer, from where it was when the connection broke.
import { get, Refused } from "../shell/api.ts";
import type { Where } from "../shell/data.ts";
import type { LogBuffer } from "./buffer.ts";

export type Flow = "loading" | "following" | "done" | "broken" | "gone";

export interface Reader {
  stop: () => void;
}

type Changed = (flow: Flow, problem?: string) => void;

/** Reads the log that path tells of into buffer, until it has ended; changed is called after each piece. */
export function read(path: string, buffer: LogBuffer, changed: Changed): Reader {
  const abort = new AbortController();
  void run(path, buffer, changed, abort.signal);
  return { stop: () => abort.abort() };
}

async function run(path: string, buffer: LogBuffer, changed: Changed, signal: AbortSignal): Promise<void> {
  let offset = 0;
  let wait = 500;
  const decoder = new TextDecoder();
  while (!signal.aborted && !buffer.cut) {
    try {
      const { url, growing, size } = await get<Where>(path, signal);
      if (size < 0 || offset < size) await pieces(url, offset, signal, (bytes) => {
        wait = 500;
        offset += bytes.length;
        buffer.append(decoder.decode(bytes, { stream: true }));
        changed(growing ? "following" : "loading");
        return !buffer.cut;
      });
      if (!growing || buffer.cut) {
        changed("done");
        return;
      }
      changed("following");
      // The stream of a growing log ends when the log does, or when a proxy lost patience: ask again.
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status < 500) {
        changed("gone", error.message);
        return;
      }
      changed("broken");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(10_000, wait * 2);
  }
}

// pieces gives what lies at url from offset on, until take says no.
async function pieces(url: string, offset: number, signal: AbortSignal, take: (bytes: Uint8Array) => boolean): Promise<void> {
  const response = await fetch(url, { signal, headers: offset > 0 ? { Range: `bytes=${offset}-` } : {} });
  if (response.status === 416) return; // nothing behind offset
  if (!response.ok || !response.body) throw new Refused(response.status, `The log cannot be read: status ${response.status}.`);
  let skip = response.status === 206 ? 0 : offset;
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const bytes = skip > 0 ? value.subarray(skip) : value;
    skip = Math.max(0, skip - value.length);
    if (bytes.length > 0 && !take(bytes)) {
      await reader.cancel();
      return;
    }
  }
}

const PATIENCE_MS = 600;
const MAX_HEAD = 512 << 10; // bytes read when a server gives no tail

/** The last bytes of a log, of a growing one those it has now. */
export async function tailOf(path: string, size: number, signal: AbortSignal): Promise<string> {
  const { url } = await get<Where>(path, signal);
  const enough = new AbortController();
  const stop = () => enough.abort();
  signal.addEventListener("abort", stop);
  let text = "";
  let seen = 0;
  let timer = setTimeout(stop, PATIENCE_MS * 4);
  const decoder = new TextDecoder();
  try {
    const response = await fetch(url, { signal: enough.signal, headers: { Range: `bytes=-${size}` } });
    if (!response.ok || !response.body) return "";
    const reader = response.body.getReader();
    while (seen < MAX_HEAD) {
      const { value, done } = await reader.read();
      if (done) break;
      // A growing log has no end: what came until now will do.
      clearTimeout(timer);
      timer = setTimeout(stop, PATIENCE_MS);
      seen += value.length;
      text = (text + decoder.decode(value, { stream: true })).slice(-size);
    }
    stop();
  } catch {
    // cut on purpose
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
  return signal.aborted ? "" : text;
}
