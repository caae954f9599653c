// The pages that this browser looked at lately; nobody else knows them.
const KEY = "treeline.visited";
const MOST = 12;

export interface Visited {
  path: string;
  title: string;
}

/** The pages, the last one first, without this one. */
export function visited(): Visited[] {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]") as Visited[];
    return list.filter((p) => p.path.startsWith("/") && !p.path.startsWith("//") && p.path !== location.pathname + location.search);
  } catch {
    return []; // storage may be off, or hold something else
  }
}

/** Remembers this page, unless it is one of those that lead on. */
export function remember(): void {
  const path = location.pathname + location.search;
  if (path === "/" || /^\/(login|third-party|search)/.test(path) || document.body.dataset["page"] === "error") return;
  const title = (document.querySelector("h1")?.textContent ?? document.title).trim();
  try {
    localStorage.setItem(KEY, JSON.stringify([{ path, title }, ...visited().filter((p) => p.path !== path)].slice(0, MOST)));
  } catch {
    // storage may be off or full
  }
}
