// Search in many labels: every word must be found, as a text or at least as its letters in order; what fits best comes first.

export interface Hit {
  label: string;
  at: number[]; // the letters that fit
  score: number;
}

const TEXT = 100; // at least this for a word that is there as a text

const starts = (text: string, i: number): boolean => i === 0 || !/[a-z0-9]/.test(text[i - 1]!);

/** The letters of a word in a text, the best place first tried; null when they are not there in order. */
export function fit(text: string, word: string): { at: number[]; score: number } | null {
  let best = -1;
  for (let i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + 1)) {
    if (best < 0 || starts(text, i)) best = i;
    if (starts(text, i)) break;
  }
  if (best >= 0) {
    const at = Array.from({ length: word.length }, (_, k) => best + k);
    return { at, score: TEXT + 10 + word.length * 4 + (starts(text, best) ? 40 : 0) - Math.min(30, best) / 10 };
  }
  const at: number[] = [];
  let score = 0;
  let i = -1;
  for (const letter of word) {
    const next = text.indexOf(letter, i + 1);
    if (next < 0) return null;
    score += next === i + 1 ? 5 : starts(text, next) ? 4 : -Math.min(4, next - i - 1);
    at.push((i = next));
  }
  return { at, score };
}

/** The labels that fit a query best, at most so many. */
export function search(labels: string[], query: string, most: number): Hit[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const whole: Hit[] = [];
  const loose: Hit[] = [];
  next: for (const label of labels) {
    const text = label.toLowerCase();
    let score = -label.length / 50;
    let texts = true;
    const at: number[] = [];
    for (const w of words) {
      const f = fit(text, w);
      if (!f) continue next;
      score += f.score;
      texts &&= f.score >= TEXT;
      at.push(...f.at);
    }
    (texts ? whole : loose).push({ label, at, score });
  }
  // Letters here and there are for who abbreviates: where the words themselves are found, they only disturb.
  const hits = whole.length > 0 ? whole : loose;
  hits.sort((a, b) => b.score - a.score || (a.label < b.label ? -1 : 1));
  return hits.slice(0, most);
}
