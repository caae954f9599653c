// The end of a log, for places that show no more than that.
import { get } from "../shell/api.ts";
import type { Where } from "../shell/data.ts";

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
