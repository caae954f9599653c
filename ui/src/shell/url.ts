// The URL is the state of a page. Parameters that a page does not know stay as they are.

/** Changes parameters of this page's address; null removes one. Typing replaces, a choice may push. */
export function setQuery(change: Record<string, string | null>, push = false): void {
  const url = new URL(location.href);
  for (const [k, v] of Object.entries(change)) {
    if (v === null || v === "") url.searchParams.delete(k);
    else url.searchParams.set(k, v);
  }
  const text = url.pathname + (url.search ? "?" + decodeCommas(url.search.slice(1)) : "") + url.hash;
  if (text === location.pathname + location.search + location.hash) return;
  if (push) history.pushState(null, "", text);
  else history.replaceState(null, "", text);
}

// Lists read better with their commas.
const decodeCommas = (s: string): string => s.replaceAll("%2C", ",");

export const query = (): URLSearchParams => new URLSearchParams(location.search);
