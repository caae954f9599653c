// A part of the page whose data is asked for when it is first looked at.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../shell/api.ts";

/** Reads path, and again when it or the key changes, and shows what came; a superseded answer is dropped. */
export function Load<T>({ path, again, children }: { path: string; again?: unknown; children: (data: T) => ComponentChildren }) {
  const [got, set] = useState<{ path: string; data?: T; problem?: string }>({ path: "" });
  useEffect(() => {
    const stop = new AbortController();
    get<T>(path, stop.signal).then(
      (data) => set({ path, data }),
      (error: unknown) => {
        if (!stop.signal.aborted) set({ path, problem: error instanceof Refused ? error.message : "The server cannot be reached." });
      },
    );
    return () => stop.abort();
  }, [path, again]);
  if (got.problem) return <p class="notice danger">{got.problem}</p>;
  if (got.data === undefined) return <p class="muted" aria-busy="true">Loading…</p>;
  return <>{children(got.data)}</>;
}
