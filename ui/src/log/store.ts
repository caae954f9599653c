// What the page knows of a log: how far it is, what stands out in it, and the lines around those that are looked at. The
// log itself stays on the server.
import { get, Refused } from "../shell/api.ts";
import { advance, isPlain, plainLook, type Look } from "./ansi.ts";

export type Flow = "loading" | "following" | "done" | "broken" | "gone";

export interface LogError {
  line: number; // from 1
  text: string;
  worker: boolean;
}

export interface Section {
  from: number; // lines, from 1
  to: number; // 0 while it goes on
  depth: number;
  title: string;
  failed: boolean;
  began: number; // milliseconds since 1970, 0 when not known
  ended: number;
}

interface Progress {
  total: number;
  bytes: number;
  done: boolean;
  cut?: number;
  news: number;
}

interface Outline extends Progress {
  errors: LogError[];
  failing: number;
  sections: Section[];
  stamped: boolean;
}

export interface Piece {
  from: number;
  lines: string[];
  codes: string;
  cut: Record<string, number>;
  total: number;
  done: boolean;
}

/** A line as the server has it, and how it looks at its beginning. */
export interface Entry {
  raw: string;
  look: Look;
  whole: number; // bytes of all of it when raw is only its beginning, else 0
}

const CHUNK = 500; // lines asked for at once
const KEPT = 30_000; // lines
const PLAIN = plainLook();
const OUTLINE_MS = 1000; // between two looks at what stands out in a log that grows

/** Reads an answer of one JSON value a line. */
export async function eachLine<T>(response: Response, take: (value: T) => void): Promise<void> {
  if (!response.ok || !response.body) {
    let message = `The server answered ${response.status}.`;
    try {
      message = ((await response.json()) as { message: string }).message || message;
    } catch {
      // no JSON: something between us and the server answered
    }
    throw new Refused(response.status, message);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop()!;
    for (const part of parts) if (part) take(JSON.parse(part) as T);
  }
}

export class LogStore {
  total = 0;
  bytes = 0;
  done = false;
  cutAt = 0; // when the run ended, of a log that is not whole
  errors: LogError[] = [];
  failing = 0;
  sections: Section[] = [];
  stamped = false;
  flow: Flow = "loading";
  problem = "";

  private readonly path: string;
  private readonly changed: () => void;
  private readonly lines = new Map<number, Entry>();
  private readonly abort = new AbortController();
  private asked: { from: number; to: number; abort: AbortController } | null = null;
  private news = -1;
  private outlineAt = 0;

  /** path is where the server tells of the log; changed is called after there is more to show. */
  constructor(path: string, changed: () => void) {
    this.path = path;
    this.changed = changed;
  }

  start(): void {
    void this.run();
  }

  stop(): void {
    this.abort.abort();
    this.asked?.abort.abort();
  }

  /** A line from 0, when it is here. */
  entry(i: number): Entry | undefined {
    return this.lines.get(i);
  }

  /** Says that lines from..to (not included) are looked at; those that are missing are asked for. */
  want(from: number, to: number): void {
    if (this.path === "" || this.flow === "gone") return;
    let first = from;
    while (first < to && this.lines.has(first)) first++;
    if (first >= to) {
      if (this.asked && (this.asked.to < from || this.asked.from > to)) this.asked.abort.abort();
      return;
    }
    if (this.asked) {
      if (first >= this.asked.from && first < this.asked.to) return;
      this.asked.abort.abort();
    }
    const down = first === from ? Math.max(0, first - 60) : first; // a little of what is above too
    void this.fetch(down, Math.max(to, down + CHUNK));
  }

  private async fetch(from: number, to: number): Promise<void> {
    const abort = new AbortController();
    const mine = (this.asked = { from, to, abort });
    let failed = false;
    try {
      this.take(await get<Piece>(`${this.path}/lines?from=${from + 1}&to=${to}`, abort.signal));
    } catch (error) {
      failed = !abort.signal.aborted;
      if (failed && error instanceof Refused && error.status < 500) this.fail(error.message);
    }
    if (this.asked === mine) this.asked = null;
    if (failed) await new Promise((resolve) => setTimeout(resolve, 1000));
    if (!abort.signal.aborted) this.changed();
  }

  private take(p: Piece): void {
    const look = plainLook();
    advance(p.codes, look);
    p.lines.forEach((raw, i) => {
      const n = p.from - 1 + i;
      this.lines.delete(n); // so that it counts as new
      this.lines.set(n, { raw, look: isPlain(look) ? PLAIN : { ...look }, whole: p.cut[String(n + 1)] ?? 0 });
      advance(raw, look);
    });
    this.total = Math.max(this.total, p.total);
    if (this.lines.size <= KEPT) return;
    let over = this.lines.size - KEPT / 2;
    for (const n of this.lines.keys()) {
      if (over-- <= 0) break;
      this.lines.delete(n);
    }
  }

  private fail(message: string): void {
    this.flow = "gone";
    this.problem = message;
    this.changed();
  }

  private async outline(): Promise<void> {
    this.outlineAt = performance.now();
    const o = await get<Outline>(`${this.path}/outline`, this.abort.signal);
    this.errors = o.errors;
    this.failing = o.failing;
    this.sections = o.sections;
    this.stamped = o.stamped;
    this.news = o.news;
    this.progress(o);
  }

  private progress(p: Progress): void {
    // The line that had no end may have grown.
    if (p.total > 0 && p.bytes !== this.bytes && this.total > 0 && !this.done) this.lines.delete(this.total - 1);
    this.total = Math.max(this.total, p.total);
    this.bytes = p.bytes;
    this.done = p.done;
    this.cutAt = p.cut ?? 0;
    if (p.done) this.flow = "done";
    else if (this.flow !== "gone") this.flow = "following";
  }

  private async run(): Promise<void> {
    let wait = 500;
    while (!this.abort.signal.aborted) {
      try {
        await this.outline();
        wait = 500;
        this.changed();
        if (this.done) return;
        await this.follow();
        if (this.done) {
          await this.outline();
          this.changed();
          return;
        }
      } catch (error) {
        if (this.abort.signal.aborted) return;
        if (error instanceof Refused && error.status < 500) {
          this.fail(error.message);
          return;
        }
        this.flow = "broken";
        this.changed();
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(10_000, wait * 2);
    }
  }

  private async follow(): Promise<void> {
    const response = await fetch(`${this.path}/follow?have=${this.total}`, { signal: this.abort.signal });
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      await eachLine<Progress & { piece?: Piece; problem?: string }>(response, (m) => {
        if (m.problem) throw new Error(m.problem);
        this.progress(m);
        if (m.piece) this.take(m.piece);
        if (m.news !== this.news && late === undefined && !m.done) {
          late = setTimeout(() => {
            late = undefined;
            this.outline().then(this.changed, () => undefined);
          }, Math.max(0, OUTLINE_MS - (performance.now() - this.outlineAt)));
        }
        this.changed();
      });
    } finally {
      clearTimeout(late);
    }
  }

  /** Lines from..to, both included, as the server has them: for copying. */
  async text(from: number, to: number): Promise<string[]> {
    const out: string[] = [];
    while (from <= to) {
      const p = await get<Piece>(`${this.path}/lines?from=${from + 1}&to=${Math.min(to + 1, from + 2000)}`);
      if (p.lines.length === 0) break;
      out.push(...p.lines);
      from += p.lines.length;
    }
    return out;
  }

  /** All of a long line. */
  async whole(line: number): Promise<string> {
    const p = await get<Piece>(`${this.path}/lines?from=${line + 1}&to=${line + 1}&whole=1`);
    return p.lines[0] ?? "";
  }
}
