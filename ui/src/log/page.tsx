// The log viewer.
import { render, type ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { bootOf, type LogData } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { copy, Icon } from "../shell/look.tsx";
import { bytes, plural } from "../shell/time.ts";
import { query, setQuery } from "../shell/url.ts";
import { find, formatHash, LogBuffer, parseHash, pattern, type Hit } from "./buffer.ts";
import { read, type Flow } from "./stream.ts";
import { LogView } from "./view.ts";

const SEARCH_SLICE = 20_000; // lines between two breaths

/** A log in a box: the viewer's page and the task page's tab. */
export class LogPane {
  readonly buffer = new LogBuffer();
  readonly flow = signal<Flow>("loading");
  readonly problem = signal("");
  readonly lines = signal(0);
  readonly fresh = signal(0); // lines that came since following stopped
  readonly follow = signal(false);
  readonly hits = signal<Hit[]>([]);
  readonly hit = signal(-1);
  readonly range = signal<[number, number] | null>(null);
  private view: LogView | undefined;
  private stopReading: (() => void) | undefined;
  private anchor = -1;
  private seen = 0;
  private search: RegExp | null = null;
  private searched = 0;
  private round = 0;
  private settled = false; // the first position is taken

  mount(box: HTMLElement, data: LogData): () => void {
    const view = (this.view = new LogView(box, this.buffer, () => this.scrolled()));
    this.follow.value = data.growing && parseHash(location.hash) === null;
    this.restore();
    box.addEventListener("click", (e) => this.click(e));
    this.stopReading = read(data.bytes, this.buffer, (flow, problem) => {
      this.flow.value = flow;
      this.problem.value = problem ?? "";
      this.later();
    }).stop;
    return () => {
      this.stopReading?.();
      view.rows.stop();
    };
  }

  private drawing = 0;

  // later draws once a frame however fast the log grows.
  private later(): void {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      const n = this.buffer.lines.length;
      this.lines.value = n;
      if (!this.follow.value) this.fresh.value = this.seen > 0 ? Math.max(0, n - this.seen) : 0;
      this.view?.update(this.follow.value);
      if (!this.settled && this.range.value && n > this.range.value[0]) {
        this.settled = true;
        this.view?.rows.reveal(this.range.value[0], true);
      }
      if (this.search) void this.continueSearch();
    });
  }

  restore(): void {
    const range = parseHash(location.hash);
    this.range.value = range;
    if (!this.view) return;
    this.view.range = range;
    this.settled = range === null;
    if (range && this.buffer.lines.length > range[0]) {
      this.settled = true;
      this.setFollow(false);
      this.view.rows.reveal(range[0]);
    }
    this.view.rows.redraw();
  }

  private click(e: MouseEvent): void {
    const n = (e.target as HTMLElement).dataset["n"];
    if (n === undefined) return;
    e.preventDefault();
    const line = Number(n);
    if (!e.shiftKey || this.anchor < 0) this.anchor = line;
    const range: [number, number] = [Math.min(this.anchor, line), Math.max(this.anchor, line)];
    history.replaceState(null, "", location.pathname + location.search + formatHash(...range));
    this.range.value = range;
    this.settled = true;
    this.setFollow(false);
    if (this.view) {
      this.view.range = range;
      this.view.rows.redraw();
    }
  }

  private scrolled(): void {
    const end = this.view?.rows.atEnd ?? false;
    if (end && this.flow.value === "following") this.setFollow(true);
    else if (!end && this.follow.value && !this.drawing) this.setFollow(false);
  }

  setFollow(on: boolean): void {
    if (on) {
      this.fresh.value = this.seen = 0;
    } else if (this.follow.value) this.seen = this.buffer.lines.length;
    this.follow.value = on;
  }

  toEnd(): void {
    this.setFollow(this.flow.value === "following");
    this.view?.rows.toEnd();
  }

  toStart(): void {
    this.setFollow(false);
    this.view?.rows.reveal(0, true);
  }

  /** Looks for text; hits come in while it goes on. */
  look(text: string): void {
    this.round++;
    this.search = pattern(text);
    this.searched = 0;
    this.hits.value = [];
    this.hit.value = -1;
    if (this.view) {
      this.view.hits.clear();
      this.view.now = null;
      this.view.rows.redraw();
    }
    if (this.search) void this.continueSearch();
  }

  private searching = false;

  private async continueSearch(): Promise<void> {
    if (this.searching || !this.search || !this.view) return;
    this.searching = true;
    const round = this.round;
    // The line that is still growing waits until it is whole.
    const whole = () => this.buffer.lines.length - (this.buffer.open && this.flow.value === "following" ? 1 : 0);
    while (this.searched < whole() && round === this.round) {
      const to = Math.min(whole(), this.searched + SEARCH_SLICE);
      const more = find(this.buffer, this.search, this.searched, to);
      this.searched = to;
      for (const h of more) {
        const list = this.view.hits.get(h.line);
        if (list) list.push(h);
        else this.view.hits.set(h.line, [h]);
      }
      if (more.length > 0) {
        this.hits.value = [...this.hits.value, ...more];
        if (this.hit.value < 0) this.step(1);
        else this.view.rows.redraw();
      }
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.searching = false;
    if (round !== this.round) void this.continueSearch();
  }

  step(by: number): void {
    const n = this.hits.value.length;
    if (n === 0 || !this.view) return;
    this.hit.value = this.hit.value < 0 ? (by > 0 ? 0 : n - 1) : (this.hit.value + by + n) % n;
    this.view.now = this.hits.value[this.hit.value]!;
    this.setFollow(false);
    this.view.rows.redraw();
    this.view.rows.reveal(this.view.now.line);
  }

  copyLines(): void {
    const [from, to] = this.range.value ?? [0, this.buffer.lines.length - 1];
    void copy(this.buffer.copy(from, to), this.range.value ? plural(to - from + 1, "line") : "the log");
  }
}

export function LogBox({ pane, data, children }: { pane: LogPane; data: LogData; children?: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => pane.mount(box.current!, data), [pane]);
  const flow = pane.flow.value;
  const empty = pane.lines.value === 0;
  return (
    <>
      <div class="log-tools">
        <Search pane={pane} />
        <button type="button" class="chip" aria-pressed={pane.follow.value} onClick={() => (pane.follow.value ? pane.setFollow(false) : pane.toEnd())} hidden={!data.growing}>
          <Icon name="end" />follow
        </button>
        <button type="button" class="button quiet" onClick={() => pane.copyLines()}>
          <Icon name="copy" />{pane.range.value ? "Copy lines" : "Copy"}
        </button>
        <button type="button" class="button quiet" hidden={!pane.range.value} onClick={() => void copy(location.href, "the link")}>
          <Icon name="link" />Link
        </button>
        <a class="button quiet" href={data.raw}><Icon name="open" />Raw</a>
        <span class="muted small num grow log-size">
          {plural(pane.lines.value, "line")}, {bytes(pane.buffer.chars)}
          {flow === "following" && " so far"}
          {flow === "broken" && <b class="st-failed"> · connection lost, trying again</b>}
          {pane.buffer.cut && " · the rest is in the raw log"}
        </span>
        {children}
      </div>
      <div class="log">
        <div class="log-scroll" ref={box} tabIndex={0} role="log" aria-live="off" aria-label="Log" />
        {empty && (
          <p class="log-note">
            {flow === "gone" ? pane.problem.value : flow === "done" ? "The log is empty." : data.growing ? "No output yet." : "Loading…"}
          </p>
        )}
        {pane.fresh.value > 0 && (
          <button type="button" class="button primary log-new" onClick={() => pane.toEnd()}>
            <Icon name="end" />{plural(pane.fresh.value, "new line")}
          </button>
        )}
      </div>
    </>
  );
}

function Search({ pane }: { pane: LogPane }) {
  const text = query().get("q") ?? "";
  useEffect(() => {
    if (text) pane.look(text);
  }, []);
  const n = pane.hits.value.length;
  return (
    <>
      <input
        class="input" type="search" data-find placeholder="Find in the log" aria-label="Find in the log" defaultValue={text}
        onInput={(e) => {
          setQuery({ q: e.currentTarget.value });
          pane.look(e.currentTarget.value);
        }}
        onKeyDown={(e) => {
          if (e.key === "Enter") pane.step(e.shiftKey ? -1 : 1);
        }}
      />
      <span class="hits" aria-live="polite">
        {n > 0 ? `${(pane.hit.value + 1).toLocaleString()} of ${n.toLocaleString()}` : query().get("q") ? "no hits" : ""}
      </span>
    </>
  );
}

export function bindKeys(pane: LogPane, data: LogData): void {
  const section = "Log";
  bind(section, "n", "next hit", () => pane.step(1));
  bind(section, "p", "previous hit", () => pane.step(-1));
  bind(section, "G", "end", () => pane.toEnd());
  bind(section, "T", "top", () => pane.toStart());
  bind(section, "F", "follow", () => (pane.follow.value ? pane.setFollow(false) : pane.toEnd()));
  bind(section, "y", "copy the link to the marked lines", () => void copy(location.href, "the link"));
  bind(section, "c", "copy the marked lines", () => pane.copyLines());
  bind(section, "L", "raw log", () => location.assign(data.raw));
  addEventListener("hashchange", () => pane.restore());
}

export function start(root: HTMLElement): void {
  const { data } = bootOf<LogData>();
  const box = root.querySelector<HTMLElement>("#log");
  if (!box || data.bytes === "") return;
  const pane = new LogPane();
  bindKeys(pane, data);
  box.replaceChildren();
  box.className = "log-app";
  render(<LogBox pane={pane} data={data} />, box);
}
