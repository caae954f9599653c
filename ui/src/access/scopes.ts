// What the server says about scopes, said before anything is sent.

/** The lines of a text that say something. */
export const lines = (text: string): string[] => text.split("\n").map((l) => l.trim()).filter((l) => l !== "");

/** Whether one scope gives another. */
export const covers = (held: string, want: string): boolean => held === want || (held.endsWith("*") && want.startsWith(held.slice(0, -1)));

/** What came and went. */
export function compareLists(before: string[], after: string[]): { added: string[]; removed: string[] } {
  const had = new Set(before);
  const has = new Set(after);
  return { added: [...has].filter((s) => !had.has(s)).sort(), removed: [...had].filter((s) => !has.has(s)).sort() };
}

/** The scopes of a list that somebody who holds mine cannot give; those that held gives already need nothing. */
export function blocked(added: string[], held: string[], mine: string[]): string[] {
  const any = [...held, ...mine];
  const exact = new Set(any);
  const stars = any.filter((s) => s.endsWith("*"));
  return added.filter((s) => !exact.has(s) && !stars.some((star) => covers(star, s)));
}
