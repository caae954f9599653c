// A part of the page whose data, or whose script, is asked for when it is first looked at.
import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../shell/api.ts";
import { patiently } from "../shell/part.ts";

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

/** Shows a part of the page that few look at, once its script is there. It belongs behind a key of its own. */
export function Later<P extends object>({ from, ...rest }: { from: () => Promise<ComponentType<P>> } & P) {
  const [Part, set] = useState<ComponentType<P>>();
  const [lost, fail] = useState(false);
  useEffect(() => void patiently(from).then((part) => set(() => part), () => fail(true)), []);
  if (lost) return <p class="notice danger">The server cannot be reached. Reload the page to try again.</p>;
  if (!Part) return <p class="muted" aria-busy="true">Loading…</p>;
  return <Part {...(rest as unknown as P)} />;
}
