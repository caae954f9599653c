// Which lines of a log an address means, and which of them are rows on the screen.

/** Reads "#L120" and "#L120-140"; lines count from 1 there and from 0 in the result. */
export function parseHash(hash: string): [number, number] | null {
  const m = /^#L(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(hash);
  if (!m) return null;
  const a = Number(m[1]);
  const b = m[2] === undefined ? a : Number(m[2]);
  if (a < 1 || b < 1) return null;
  return [Math.min(a, b) - 1, Math.max(a, b) - 1];
}

export const formatHash = (from: number, to: number): string => (from === to ? `#L${from + 1}` : `#L${from + 1}-${to + 1}`);

/** Rows are the lines that are shown: all, those outside of what is folded, or only some. Both count from 0. */
export class RowMap {
  private total = 0;
  private hidden: [number, number][] = []; // lines, both included; in order and apart
  private before: number[] = []; // lines hidden before each
  private gone = 0;
  private only: number[] | null = null;

  /** Sets how many lines there are. */
  grow(total: number): void {
    this.total = total;
  }

  /** Hides lines; the ranges may lie in each other. */
  fold(ranges: [number, number][]): void {
    this.hidden = [];
    for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
      const last = this.hidden[this.hidden.length - 1];
      if (to < from) continue;
      if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
      else this.hidden.push([from, to]);
    }
    this.gone = 0;
    this.before = this.hidden.map(([from, to]) => {
      const before = this.gone;
      this.gone += to - from + 1;
      return before;
    });
  }

  /** Shows only these lines, in order; null for all that are not folded. */
  pick(lines: number[] | null): void {
    this.only = lines;
  }

  get rows(): number {
    if (this.only) return this.only.length;
    return Math.max(0, this.total - this.gone);
  }

  line(row: number): number {
    if (this.only) return this.only[row] ?? -1;
    // The last range whose lines stand before this row.
    let low = 0;
    let high = this.hidden.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.hidden[mid]![0] - this.before[mid]! <= row) low = mid + 1;
      else high = mid;
    }
    return low === 0 ? row : row + this.before[low - 1]! + this.hidden[low - 1]![1] - this.hidden[low - 1]![0] + 1;
  }

  /** The row of a line, or of the one shown before it. */
  row(line: number): number {
    if (this.only) {
      let low = 0;
      let high = this.only.length;
      while (low < high) {
        const mid = (low + high) >> 1;
        if (this.only[mid]! <= line) low = mid + 1;
        else high = mid;
      }
      return Math.max(0, low - 1);
    }
    let out = line;
    for (const [from, to] of this.hidden) {
      if (from > line) break;
      out -= Math.min(to, line) - from + 1;
    }
    return Math.max(0, out);
  }

  /** Whether a line is hidden in a fold. */
  folded(line: number): boolean {
    return this.only === null && this.hidden.some(([from, to]) => line >= from && line <= to);
  }
}
