// A log in a box: what is shown of it, what is marked, looked for and folded.
import { signal } from "@preact/signals";
import type { LogData } from "../shell/data.ts";
import { copy } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { query, setQuery } from "../shell/url.ts";
import { text } from "./ansi.ts";
import { Marks } from "./marks.ts";
import { formatHash, parseHash, RowMap } from "./place.ts";
import { Search, type Query } from "./search.ts";
import { LogStore, type Flow, type LogError, type Section } from "./store.ts";
import { LogView, type Times } from "./view.ts";

const MAX_COPY = 50_000; // lines
const SEARCH_MS = 200; // after the last letter
const LIVE_SEARCH_MS = 1000; // between two searches in what has come

/** What the page shows around the lines. */
export interface Shown {
  total: number;
  bytes: number;
  flow: Flow;
  problem: string;
  cutAt: number;
  errors: LogError[];
  failing: number;
  sections: Section[];
  stamped: boolean;
}

const NOTHING: Shown = { total: 0, bytes: 0, flow: "loading", problem: "", cutAt: 0, errors: [], failing: 0, sections: [], stamped: false };

export interface Found {
  count: number;
  now: number; // of the hits, -1 for none
  running: boolean;
  problem: string;
  on: boolean;
}

export class LogPane {
  readonly shown = signal<Shown>(NOTHING);
  readonly fresh = signal(0); // lines that came since following stopped
  readonly follow = signal(false);
  readonly found = signal<Found>({ count: 0, now: -1, running: false, problem: "", on: false });
  readonly range = signal<[number, number] | null>(null);
  readonly only = signal(query().get("only") === "1");
  readonly wrap = signal(query().get("wrap") === "1");
  readonly times = signal<Times>(({ "0": "hidden", d: "elapsed" } as Record<string, Times>)[query().get("ts") ?? ""] ?? "written");
  readonly query = signal<Query>({ text: query().get("q") ?? "", regex: query().get("regex") === "1", case: query().get("case") === "1" });
  readonly long = signal<{ line: number; text: string } | null>(null);
  private store: LogStore | undefined;
  private view: LogView | undefined;
  private marks: Marks | undefined;
  private readonly rows = new RowMap();
  private readonly folded = new Set<number>(); // first lines, from 0
  private path = "";
  private search: Search | undefined;
  private anchor = -1;
  private error = -1; // of the errors, the one gone to
  private seen = 0;
  private settled = false; // the first position is taken
  private drawing = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private searchedAt = 0;
  private outlineOf: Section[] | undefined;
  private atFailure = false;

  mount(box: HTMLElement, data: LogData): () => void {
    this.path = data.bytes;
    this.atFailure = data.failed === true;
    const store = (this.store = new LogStore(data.bytes, () => this.later()));
    const view = (this.view = new LogView(box, store, this.rows, () => this.scrolled()));
    this.marks = new Marks(box);
    view.times = this.times.value;
    view.window.wrap = this.wrap.value;
    box.classList.toggle("wrap", this.wrap.value);
    this.follow.value = data.growing && parseHash(location.hash) === null;
    this.restore();
    box.addEventListener("click", (e) => this.click(e));
    if (this.range.value) store.want(Math.max(0, this.range.value[0] - 100), this.range.value[0] + 300);
    store.start();
    if (this.query.value.text) this.look(this.query.value);
    return () => {
      cancelAnimationFrame(this.drawing);
      clearTimeout(this.timer);
      this.search?.stop();
      store.stop();
      view.window.stop();
      this.marks?.stop();
    };
  }

  // later draws once a frame however fast the log grows.
  private later(): void {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      this.draw();
    });
  }

  private draw(): void {
    const { store: s, view } = this;
    if (!s || !view) return;
    const { total, bytes, flow, problem, cutAt, errors, failing, sections, stamped } = s;
    this.shown.value = { total, bytes, flow, problem, cutAt, errors, failing, sections, stamped };
    if (!this.follow.value) this.fresh.value = this.seen > 0 ? Math.max(0, total - this.seen) : 0;
    if (this.outlineOf !== sections) {
      this.outlineOf = sections;
      view.errors = new Set(errors.map((e) => e.line - 1));
      this.foldAll();
      view.window.redraw();
    }
    view.update(this.follow.value);
    this.settle();
    this.marks?.draw(this.rows, view.errors, this.search?.hits ?? []);
    this.searchOn();
  }

  // settle takes the first position as soon as its line is there.
  private settle(): void {
    if (this.settled || !this.view || !this.store) return;
    const range = this.range.value;
    if (range ? this.store.total > range[0] : this.atFailure && this.store.errors.length > 0) {
      this.settled = true;
      if (range) this.view.window.reveal(this.rows.row(range[0]), true);
      else this.step(1);
    }
  }

  private show(line: number, always = false): void {
    if (this.rows.folded(line)) {
      for (const [from, f] of this.view!.sections) if (f.folded && line > from && line < f.section.to) this.folded.delete(from);
      this.foldAll();
      this.view!.update(false);
      this.view!.window.redraw();
    }
    this.view!.window.reveal(this.rows.row(line), always);
  }

  /** Goes to what the address says. */
  restore(): void {
    const range = parseHash(location.hash);
    this.range.value = range;
    if (!this.view) return;
    this.view.range = range;
    if (range && this.store!.total > range[0]) {
      this.settled = true;
      this.setFollow(false);
      this.show(range[0]);
    } else if (range) this.settled = false;
    this.view.window.redraw();
  }

  private mark(from: number, to: number): void {
    history.replaceState(history.state, "", location.pathname + location.search + formatHash(from, to));
    this.range.value = [from, to];
    this.settled = true;
    this.setFollow(false);
    this.view!.range = [from, to];
    this.view!.window.redraw();
  }

  private click(e: MouseEvent): void {
    const { n, fold, whole } = (e.target as HTMLElement).dataset;
    if (fold !== undefined) this.toggleFold(Number(fold));
    else if (whole !== undefined) void this.showWhole(Number(whole));
    else if (n !== undefined) {
      e.preventDefault();
      const line = Number(n);
      if (!e.shiftKey || this.anchor < 0) this.anchor = line;
      this.mark(Math.min(this.anchor, line), Math.max(this.anchor, line));
    }
  }

  private async showWhole(line: number): Promise<void> {
    try {
      this.long.value = { line, text: text(await this.store!.whole(line)) };
    } catch {
      toast("The line cannot be read at the moment.", true);
    }
  }

  private scrolled(): void {
    const end = this.view?.window.atEnd ?? false;
    if (end && this.store?.flow === "following") this.setFollow(true);
    else if (!end && this.follow.value) this.setFollow(false);
  }

  setFollow(on: boolean): void {
    if (on) this.fresh.value = this.seen = 0;
    else if (this.follow.value) this.seen = this.store?.total ?? 0;
    this.follow.value = on;
  }

  toEnd(): void {
    this.settled = true;
    this.setFollow(this.store?.flow === "following");
    this.view?.window.toEnd();
  }

  toStart(): void {
    this.settled = true;
    this.setFollow(false);
    this.view?.window.reveal(0, true);
  }

  /** Goes to a line, from 0, and marks it. */
  goTo(line: number): void {
    line = Math.max(0, Math.min(line, (this.store?.total ?? 1) - 1));
    this.anchor = line;
    this.mark(line, line);
    this.show(line);
  }

  /** Goes to the next or the previous line that tells of a failure. */
  step(by: number): void {
    const list = this.store?.errors ?? [];
    if (list.length === 0) {
      toast("No line tells of a failure.");
      return;
    }
    this.error = this.error < 0 ? (by > 0 ? 0 : list.length - 1) : (this.error + by + list.length) % list.length;
    this.goTo(list[this.error]!.line - 1);
  }

  private foldAll(): void {
    const sections = this.store?.sections ?? [];
    const list: [number, number][] = [];
    this.view!.sections.clear();
    for (const s of sections) {
      if (s.to === 0 || s.to - s.from < 1) continue;
      // Of those that begin at the same line the innermost one folds there.
      this.view!.sections.set(s.from - 1, { section: s, folded: this.folded.has(s.from - 1) });
    }
    for (const { section, folded } of this.view!.sections.values()) if (folded) list.push([section.from, section.to - 1]);
    this.rows.fold(list);
  }

  toggleFold(line: number): void {
    if (!this.folded.delete(line)) this.folded.add(line);
    this.refold();
  }

  /** Folds all sections, or none. */
  foldEach(on: boolean): void {
    this.folded.clear();
    if (on) for (const s of this.store?.sections ?? []) if (s.to > s.from) this.folded.add(s.from - 1);
    this.refold();
  }

  private refold(): void {
    this.setFollow(false);
    this.foldAll();
    this.view!.update(false);
    this.view!.window.redraw();
    this.marks?.draw(this.rows, this.view!.errors, this.search?.hits ?? []);
  }

  /** Looks for what was typed, soon. */
  type(q: Query): void {
    this.query.value = q;
    setQuery({ q: q.text, regex: q.regex ? "1" : null, case: q.case ? "1" : null });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(q), q.text === "" ? 0 : SEARCH_MS);
  }

  private look(q: Query): void {
    this.search?.stop();
    this.search = undefined;
    this.view!.hits = new Map();
    this.view!.now = null;
    this.found.value = { count: 0, now: -1, running: false, problem: "", on: q.text !== "" };
    if (q.text !== "") {
      const search = (this.search = new Search(this.path, q, () => {
        if (this.search === search) this.foundMore();
      }));
      this.view!.hits = search.byLine;
      this.searchedAt = performance.now();
      void search.run();
    }
    this.applyOnly();
    this.view!.window.redraw();
    this.later();
  }

  private foundMore(): void {
    const s = this.search!;
    const was = this.found.value;
    this.found.value = { count: s.count, now: was.now, running: s.running, problem: s.problem, on: true };
    if (was.now < 0 && s.hits.length > 0 && !this.only.value) this.hit(1);
    this.applyOnly();
    this.view!.window.redraw();
    this.later();
  }

  // searchOn looks through what has come to a log that grows.
  private searchOn(): void {
    const s = this.search;
    if (!s || s.running || s.problem || s.reached >= this.store!.total || performance.now() - this.searchedAt < LIVE_SEARCH_MS) return;
    // The line that is still growing waits until it is whole.
    this.searchedAt = performance.now();
    if (s.reached > 0) void s.run();
  }

  /** Goes to the next or the previous hit, across the ends. */
  hit(by: number): void {
    const list = this.search?.hits ?? [];
    if (list.length === 0) return;
    const now = this.found.value.now;
    const next = now < 0 ? (by > 0 ? 0 : list.length - 1) : (now + by + list.length) % list.length;
    this.found.value = { ...this.found.value, now: next };
    this.view!.now = list[next]!;
    this.settled = true;
    this.setFollow(false);
    this.view!.window.redraw();
    this.show(this.view!.now.line);
  }

  setOnly(on: boolean): void {
    this.only.value = on;
    setQuery({ only: on ? "1" : null });
    const line = this.view?.now?.line ?? this.rows.line(this.view?.window.view()[0] ?? 0);
    this.applyOnly();
    this.view?.update(false);
    this.view?.window.redraw();
    this.view?.window.reveal(this.rows.row(Math.max(0, line)), true);
  }

  private applyOnly(): void {
    this.rows.pick(this.only.value && this.search ? [...this.search.byLine.keys()] : null);
  }

  setWrap(on: boolean): void {
    this.wrap.value = on;
    setQuery({ wrap: on ? "1" : null });
    this.view!.window.wrap = on;
    this.view!.window.box.classList.toggle("wrap", on);
    this.view!.window.redraw();
  }

  setTimes(t: Times): void {
    this.times.value = t;
    setQuery({ ts: t === "hidden" ? "0" : t === "elapsed" ? "d" : null });
    this.view!.times = t;
    this.view!.window.redraw();
  }

  /** The marked lines, or all, as people see them. Up to MAX_COPY can be read at once. */
  async lines(): Promise<string[]> {
    const all = this.store?.total ?? 0;
    const [from, to] = this.range.value ?? [0, all - 1];
    return (await this.store!.text(from, Math.min(to, from + MAX_COPY - 1, all - 1))).map(text);
  }

  /** Copies the marked lines, or all. */
  async copyLines(): Promise<void> {
    const [from, to] = this.range.value ?? [0, (this.store?.total ?? 0) - 1];
    if (to - from >= MAX_COPY) {
      toast(`That is ${plural(to - from + 1, "line")}: download the raw log instead.`, true);
      return;
    }
    try {
      const lines = await this.lines();
      await copy(lines.join("\n"), this.range.value ? plural(lines.length, "line") : "the log");
    } catch {
      toast("The lines cannot be read at the moment.", true);
    }
  }
}
