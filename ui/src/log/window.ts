// A window on very many rows: only those in view are in the page. The place in the log is kept here to the pixel; the
// scroll bar follows it, since browsers do not have boxes high enough for every log.

const MAX_HEIGHT = 12_000_000; // pixels; browsers stop somewhere above
const OVERSCAN = 30; // rows above and below the view

export interface WindowOptions {
  height: number; // of a row, pixels
  /** Draws the row of a number. A row that is not complete is drawn again with the window. */
  draw: (row: number) => { element: HTMLElement; complete: boolean };
  /** Identifies what a row shows, so that it is not drawn again while it stays in view. */
  key: (row: number) => number;
  /** Called when other rows have come into view. */
  viewed: (first: number, last: number) => void;
  /** Called when a person has scrolled. */
  scrolled: () => void;
}

export class Window {
  readonly box: HTMLElement;
  wrap = false;
  private readonly o: WindowOptions;
  private readonly space = document.createElement("div");
  private readonly lines = document.createElement("div");
  private readonly shown = new Map<number, { element: HTMLElement; complete: boolean }>();
  private readonly observer: ResizeObserver;
  private count = 0;
  private at = 0; // pixels of rows above the view
  private set_ = 0; // what scrollTop was set to
  private room = 0; // pixels the view was high when it was measured
  private frame = 0;

  constructor(box: HTMLElement, options: WindowOptions) {
    this.box = box;
    this.o = options;
    this.space.className = "log-space";
    this.lines.className = "log-lines";
    this.space.append(this.lines);
    box.replaceChildren(this.space);
    box.addEventListener("scroll", () => this.onScroll(), { passive: true });
    box.addEventListener("wheel", (e) => this.onWheel(e), { passive: false });
    box.addEventListener("keydown", (e) => this.onKey(e));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(box);
  }

  stop(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Sets how many rows there are; the view stays where it is. */
  set(count: number): void {
    this.measure();
    this.count = count;
    const height = `${Math.min(MAX_HEIGHT, count * this.o.height)}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    this.place();
    this.draw();
  }

  /** Draws all rows in view anew. */
  redraw(): void {
    this.shown.clear();
    this.draw();
  }

  get atEnd(): boolean {
    return this.at >= this.most() - this.o.height;
  }

  toEnd(): void {
    this.at = this.most();
    this.place();
    this.draw();
  }

  /** Brings a row into view: in the middle when it was not. */
  reveal(row: number, always = false): void {
    const [first, last] = this.view();
    if (!always && row > first && row < last - 1) return;
    this.at = row * this.o.height - (this.box.clientHeight - this.o.height) / 2;
    this.place();
    this.draw();
  }

  /** The first and behind the last row in view. */
  view(): [number, number] {
    const h = this.o.height;
    return [Math.floor(this.at / h), Math.min(this.count, Math.ceil((this.at + this.box.clientHeight) / h))];
  }

  private most(): number {
    return Math.max(0, this.count * this.o.height - this.box.clientHeight);
  }

  // scale is scrolled pixels for a pixel of rows.
  private scale(): number {
    const real = this.count * this.o.height;
    if (real <= MAX_HEIGHT) return 1;
    return (MAX_HEIGHT - this.box.clientHeight) / (real - this.box.clientHeight);
  }

  // measure looks how high the view is now: at the end it stays there.
  private measure(): void {
    const end = this.at > 0 && this.at >= this.count * this.o.height - this.room - 1;
    this.room = this.box.clientHeight;
    if (end) this.at = this.most();
  }

  private resized(): void {
    this.measure();
    this.place();
    this.later();
  }

  // place moves the scroll bar to where the view is.
  private place(): void {
    this.at = Math.min(this.most(), Math.max(0, this.at));
    const top = this.at * this.scale();
    if (Math.abs(this.box.scrollTop - top) > 0.5) this.box.scrollTop = top;
    this.set_ = this.box.scrollTop;
  }

  private onScroll(): void {
    if (Math.abs(this.box.scrollTop - this.set_) < 1) return;
    this.set_ = this.box.scrollTop;
    this.at = Math.min(this.most(), this.box.scrollTop / this.scale());
    this.o.scrolled();
    this.later();
  }

  // by moves the view where the scroll bar is too coarse to.
  private by(pixels: number): void {
    this.measure();
    this.at += pixels;
    this.place();
    this.o.scrolled();
    this.later();
  }

  private onWheel(e: WheelEvent): void {
    if (this.scale() === 1 || e.ctrlKey || e.shiftKey || e.deltaY === 0) return;
    e.preventDefault();
    this.by(e.deltaMode === 1 ? e.deltaY * this.o.height : e.deltaMode === 2 ? e.deltaY * this.box.clientHeight : e.deltaY);
  }

  private onKey(e: KeyboardEvent): void {
    if (this.scale() === 1 || e.ctrlKey || e.metaKey || e.altKey || e.target !== this.box) return;
    const page = this.box.clientHeight - 2 * this.o.height;
    const steps: Record<string, number> = { ArrowDown: 2 * this.o.height, ArrowUp: -2 * this.o.height, PageDown: page, PageUp: -page, " ": e.shiftKey ? -page : page };
    const step = steps[e.key];
    if (step === undefined) return;
    e.preventDefault();
    this.by(step);
  }

  private later(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw(): void {
    const [first, last] = this.view();
    const over = this.wrap ? 0 : OVERSCAN;
    const from = Math.max(0, first - over);
    const to = Math.min(this.count, last + over + (this.wrap ? 1 : 0));
    this.o.viewed(Math.max(0, first - OVERSCAN), Math.min(this.count, last + OVERSCAN));
    const wanted = new Set<number>();
    let before: Element | null = null;
    for (let row = from; row < to; row++) {
      const key = this.o.key(row);
      wanted.add(key);
      let drawn = this.shown.get(key);
      if (!drawn?.complete) {
        drawn?.element.remove();
        drawn = this.o.draw(row);
        this.shown.set(key, drawn);
      }
      const next: Element | null = before ? before.nextElementSibling : this.lines.firstElementChild;
      if (next !== drawn.element) this.lines.insertBefore(drawn.element, next);
      before = drawn.element;
    }
    for (const [key, drawn] of this.shown) {
      if (wanted.has(key)) continue;
      drawn.element.remove();
      this.shown.delete(key);
    }
    while (before ? before.nextElementSibling : this.lines.firstElementChild) (before ? before.nextElementSibling : this.lines.firstElementChild)!.remove();
    this.lines.style.transform = `translateY(${this.offset(from, first)}px)`;
  }

  // offset is where the drawn rows begin in the scrolled space.
  private offset(from: number, first: number): number {
    const top = this.box.scrollTop;
    if (!this.wrap) return top - (this.at - from * this.o.height);
    if (this.at >= this.most() - 1) return Math.max(0, top + this.box.clientHeight - this.lines.offsetHeight);
    const part = this.at / this.o.height - first;
    return top - part * ((this.lines.firstElementChild as HTMLElement | null)?.offsetHeight ?? 0);
  }
}
