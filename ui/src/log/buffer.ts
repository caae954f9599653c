// The lines of a log as they arrive, with search over what a person sees.
import { advance, hasCodes, isPlain, plainLook, text, type Look } from "./ansi.ts";

/** Bytes after which a log is no longer kept in the page; the rest is in the raw file. */
export const MAX_CHARS = 192 << 20;

export interface Hit {
  line: number; // from 0
  from: number; // in the shown text
  to: number;
}

export class LogBuffer {
  /** Whole lines, and last the one that is still growing when open is true. */
  readonly lines: string[] = [];
  open = false;
  chars = 0;
  cut = false;

  // The look each line starts with, where it is not plain; and the one after the last whole line.
  private readonly starts = new Map<number, Look>();
  private end = plainLook();

  /** Adds text; CR LF and LF end lines, a lone CR does not. */
  append(chunk: string): void {
    if (this.cut || chunk === "") return;
    this.chars += chunk.length;
    this.cut = this.chars > MAX_CHARS;
    const parts = chunk.split("\n");
    if (this.open) {
      parts[0] = this.lines.pop()! + parts[0]!;
      this.open = false;
    }
    const last = parts.pop()!;
    for (const line of parts) {
      this.start();
      advance(line, this.end);
      this.lines.push(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
    if (last !== "") {
      this.start();
      this.lines.push(last);
      this.open = true;
    }
  }

  private start(): void {
    if (!isPlain(this.end)) this.starts.set(this.lines.length, { ...this.end });
  }

  /** A copy of the look that line i starts with. */
  look(i: number): Look {
    const look = this.starts.get(i);
    return look ? { ...look } : plainLook();
  }

  /** Lines from..to (inclusive, from 0) without codes. */
  copy(from: number, to: number): string {
    return this.lines.slice(from, to + 1).map(text).join("\n");
  }
}

/** A pattern for what was typed: /…/ is a regular expression; case matters when a capital is typed. */
export function pattern(query: string): RegExp | null {
  if (query === "") return null;
  const re = /^\/(.+)\/(i?)$/.exec(query);
  if (re) {
    try {
      return new RegExp(re[1]!, "gu" + re[2]);
    } catch {
      return null;
    }
  }
  return new RegExp(query.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&"), /\p{Lu}/u.test(query) ? "gu" : "giu");
}

/** All hits in lines from..to (to not included). */
export function find(buffer: LogBuffer, re: RegExp, from: number, to: number): Hit[] {
  const out: Hit[] = [];
  for (let i = from; i < to; i++) {
    const raw = buffer.lines[i]!;
    const line = hasCodes(raw) ? text(raw) : raw;
    re.lastIndex = 0;
    for (let m = re.exec(line); m; m = re.exec(line)) {
      if (m[0] === "") re.lastIndex++;
      else out.push({ line: i, from: m.index, to: m.index + m[0].length });
    }
  }
  return out;
}

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
