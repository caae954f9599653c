// Drafts are kept in this browser, so that no text is lost with a session, a page or a refused request.

export interface Draft {
  text: string;
  at: number;
}

const prefix = "treeline-draft:";
const MOST = 512 * 1024; // characters; more is not kept

export function keepDraft(name: string, text: string): boolean {
  if (text.length > MOST) return false;
  try {
    localStorage.setItem(prefix + name, JSON.stringify({ text, at: Date.now() } satisfies Draft));
    return true;
  } catch {
    return false; // full, or switched off
  }
}

export function draftOf(name: string): Draft | null {
  try {
    const kept = localStorage.getItem(prefix + name);
    return kept ? (JSON.parse(kept) as Draft) : null;
  } catch {
    return null;
  }
}

export function dropDraft(name: string): void {
  try {
    localStorage.removeItem(prefix + name);
  } catch {
    // then there is none
  }
}
