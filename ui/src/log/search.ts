// Search in a log. The server looks; hits come in as they are found.
import { Refused } from "../shell/api.ts";
import { eachLine } from "./store.ts";

export interface Hit {
  line: number; // from 0
  from: number; // in the shown text
  to: number;
}

export interface Query {
  text: string;
  regex: boolean;
  case: boolean;
}

interface News {
  hits: [number, number, number][];
  count: number;
  line: number;
  done: boolean;
  stopped?: string;
}

/** A search and what it has found. Hits are in order; when there are very many, only the first are kept, but all counted. */
export class Search {
  readonly query: Query;
  readonly hits: Hit[] = [];
  readonly byLine = new Map<number, Hit[]>();
  count = 0;
  reached = 0; // lines
  running = false;
  problem = "";
  private readonly path: string;
  private readonly changed: () => void;
  private readonly abort = new AbortController();

  constructor(path: string, query: Query, changed: () => void) {
    this.path = path;
    this.query = query;
    this.changed = changed;
  }

  stop(): void {
    this.abort.abort();
  }

  /** Searches what lies behind the lines that were searched, of which there are total now. */
  async run(): Promise<void> {
    if (this.running || this.problem) return;
    this.running = true;
    const { text, regex } = this.query;
    const form = new URLSearchParams({ q: text, after: String(this.reached) });
    if (regex) form.set("regex", "1");
    if (this.query.case) form.set("case", "1");
    const before = this.count;
    try {
      const response = await fetch(`${this.path}/search?${form}`, { signal: this.abort.signal });
      await eachLine<News>(response, (m) => {
        for (const [line, from, to] of m.hits ?? []) this.add({ line: line - 1, from, to });
        this.count = before + m.count;
        this.reached = m.line;
        if (m.stopped) this.problem = m.stopped;
        if (m.done) this.running = false;
        this.changed();
      });
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.problem = error instanceof Refused ? error.message : "The server cannot be reached.";
    }
    this.running = false;
    this.changed();
  }

  private add(h: Hit): void {
    this.hits.push(h);
    const list = this.byLine.get(h.line);
    if (list) list.push(h);
    else this.byLine.set(h.line, [h]);
  }
}
