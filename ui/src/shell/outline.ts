// Pages that the server draws whole stay fresh by asking for themselves again.
import { onMessages } from "./live.ts";

const PAUSE_MS = 700;

let pending: ReturnType<typeof setTimeout> | undefined;

async function renew(root: HTMLElement): Promise<void> {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
    if (fresh && !root.contains(document.activeElement)) root.replaceChildren(...fresh.childNodes);
  } catch {
    // The header says when the server is away.
  }
}

export function start(root: HTMLElement): void {
  onMessages(() => {
    pending ??= setTimeout(() => {
      pending = undefined;
      void renew(root);
    }, PAUSE_MS);
  });
}
