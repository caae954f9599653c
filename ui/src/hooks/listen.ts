// Messages as they come, with whether they would fire the hook. However many come, the last 500 are kept, the page draws
// once a frame, and only those in view are in it.
import { bootOf } from "../shell/data.ts";
import { Rows } from "../shell/rows.ts";

interface Heard {
  time: number;
  exchange: string;
  key: string;
  fires: boolean;
  reason: string;
  task: string;
}

const KEPT = 500;
const NARROW = matchMedia("(max-width: 760px)");
const height = (): number => (NARROW.matches ? 56 : 34); // of a row, pixels; why stands below in narrow windows
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** The last messages, the newest first. */
class Kept {
  private readonly table: HTMLElement;
  private readonly body: HTMLElement;
  private readonly options = { height: height(), overscan: 10, draw: (i: number) => this.row(this.list[i]!) };
  private readonly rows: Rows;
  private list: Heard[] = [];
  private drawn = new WeakMap<Heard, HTMLElement>();

  constructor(body: HTMLElement) {
    this.body = body;
    this.table = body.parentElement!;
    this.rows = new Rows(body, this.options, "", "v-lines");
    NARROW.addEventListener("change", () => {
      this.options.height = height();
      this.drawn = new WeakMap();
      this.rows.set(0);
      this.show();
    });
  }

  get size(): number {
    return this.list.length;
  }

  /** Takes what came, the newest last. Whoever reads older ones keeps them in view. */
  add(fresh: Heard[]): void {
    const read = this.body.scrollTop;
    this.list = [...fresh.slice(-KEPT).reverse(), ...this.list].slice(0, KEPT);
    this.show();
    if (read > 0) this.body.scrollTop = read + fresh.length * this.options.height;
  }

  clear(): void {
    this.list = [];
    this.show();
  }

  private show(): void {
    this.rows.set(this.list.length);
    this.table.setAttribute("aria-rowcount", String(this.list.length));
  }

  private row(m: Heard): HTMLElement {
    let row = this.drawn.get(m);
    if (row) return row;
    row = document.createElement("div");
    row.className = "v-row " + (m.fires ? "fires" : "passes");
    row.setAttribute("role", "row");
    row.style.height = `${this.options.height}px`;
    const texts = [CLOCK.format(m.time), m.fires ? "✓ yes" : "– no", m.exchange.split("/").at(-1) + " " + m.key, m.reason];
    for (const [i, text] of texts.entries()) {
      const cell = document.createElement(i === 2 ? "code" : "span");
      cell.setAttribute("role", "cell");
      cell.textContent = text;
      if (i > 1) cell.title = text;
      row.append(cell);
    }
    this.drawn.set(m, row);
    return row;
  }
}

export function start(): void {
  const button = document.querySelector<HTMLButtonElement>("#listen");
  if (!button) return;
  const status = document.querySelector<HTMLElement>("#heard")!;
  const all = document.querySelector<HTMLInputElement>("#all")!;
  const clear = document.querySelector<HTMLButtonElement>("#clear")!;
  const base = (bootOf().data as { stream: string }).stream;
  let source: EventSource | undefined;
  let fresh: Heard[] = [];
  let total = 0;
  let planned = false;

  const say = (text: string): void => {
    status.textContent = text;
  };
  const kept = new Kept(document.querySelector<HTMLElement>("#rows")!);
  const draw = (): void => {
    planned = false;
    kept.add(fresh);
    fresh = [];
    say(`${total} messages, the last ${kept.size} below`);
  };
  const stop = (): void => {
    source?.close();
    source = undefined;
    button.textContent = "Start";
    button.classList.add("primary");
  };
  const begin = (): void => {
    source = new EventSource(base + (all.checked ? "&all=1" : ""));
    source.onopen = () => say(total > 0 ? `${total} messages` : "Listening. Nothing has come yet.");
    source.onerror = () => say("The connection is lost; it is made again.");
    source.onmessage = (e: MessageEvent<string>) => {
      const { messages, left } = JSON.parse(e.data) as { messages: Heard[]; left: number };
      total += messages.length + left;
      fresh.push(...messages);
      if (fresh.length > 2 * KEPT) fresh = fresh.slice(-KEPT);
      if (!planned) {
        planned = true;
        setTimeout(() => requestAnimationFrame(draw), document.hidden ? 1000 : 0);
      }
    };
    button.textContent = "Stop";
    button.classList.remove("primary");
  };
  button.disabled = clear.disabled = false;
  say("");
  button.addEventListener("click", () => (source ? stop() : begin()));
  all.addEventListener("change", () => {
    if (!source) return;
    stop();
    begin();
  });
  clear.addEventListener("click", () => {
    kept.clear();
    total = 0;
    say("");
  });
}
