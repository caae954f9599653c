// A window of rows of one height in a scrolling box: only what is in view is in the page.

// Browsers stop at about 33 million pixels; beyond this height scrolling is scaled.
const MAX_HEIGHT = 12_000_000;

export interface RowsOptions {
  height: number; // of a row, pixels
  overscan: number; // rows above and below the view
  draw: (i: number) => HTMLElement; // what it gives again, because it is the same row, stays in the page
  scrolled?: () => void;
}

export class Rows {
  readonly box: HTMLElement;
  readonly space: HTMLElement;
  private readonly options: RowsOptions;
  private readonly lines: HTMLElement;
  private count = 0;
  private from = 0;
  private to = 0;
  private frame = 0;
  private readonly observer: ResizeObserver;

  constructor(box: HTMLElement, options: RowsOptions, spaceClass = "", linesClass = "") {
    this.box = box;
    this.options = options;
    this.space = document.createElement("div");
    this.space.className = spaceClass;
    this.space.style.position = "relative";
    this.lines = document.createElement("div");
    this.lines.className = linesClass;
    this.space.append(this.lines);
    box.replaceChildren(this.space);
    box.style.overflowAnchor = "none"; // rows that come above the view as it moves must not undo the move
    box.addEventListener("scroll", () => {
      options.scrolled?.();
      this.later();
    }, { passive: true });
    this.observer = new ResizeObserver(() => this.later());
    this.observer.observe(box);
  }

  stop(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Sets how many rows there are; rows in view are drawn anew. */
  set(count: number): void {
    if (count === this.count) return this.redraw();
    const before = this.scale();
    const top = this.top();
    this.count = count;
    const height = `${Math.min(MAX_HEIGHT, count * this.options.height)}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    // Scaled scrolling must not carry the view along as rows come.
    if (this.scale() !== before) this.box.scrollTop = top * this.scale();
    this.from = this.to = 0;
    this.draw();
  }

  /** Draws the rows in view anew, wherever they are: what is in view moves by scrolling only, and to ask costs a layout. */
  redraw(): void {
    if (this.from < this.to) this.fill();
    else this.draw();
  }

  get atEnd(): boolean {
    return this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - this.options.height;
  }

  toEnd(): void {
    this.box.scrollTop = this.box.scrollHeight;
    this.draw();
  }

  /** Brings row i into view: in the middle when it was not. */
  reveal(i: number, always = false): void {
    const [first, last] = this.view();
    if (!always && i > first && i < last - 1) return;
    const top = i * this.options.height - (this.box.clientHeight - this.options.height) / 2;
    this.box.scrollTop = Math.max(0, top) * this.scale();
    this.draw();
  }

  /** The first and the last row in view. */
  view(): [number, number] {
    const top = this.top();
    const h = this.options.height;
    return [Math.floor(top / h), Math.min(this.count, Math.ceil((top + this.box.clientHeight) / h))];
  }

  // scale is scrolled pixels for a pixel of rows.
  private scale(): number {
    const real = this.count * this.options.height;
    if (real <= MAX_HEIGHT) return 1;
    return (MAX_HEIGHT - this.box.clientHeight) / (real - this.box.clientHeight);
  }

  private top(): number {
    return this.box.scrollTop / this.scale();
  }

  private later(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  private draw(): void {
    const [first, last] = this.view();
    const from = Math.max(0, first - this.options.overscan);
    const to = Math.min(this.count, last + this.options.overscan);
    const scaled = this.scale() !== 1;
    if (!scaled && from >= this.from && to <= this.to && last - first > 0) return;
    if (scaled || from !== this.from || to !== this.to) {
      this.from = from;
      this.to = to;
      this.fill();
    }
    const offset = scaled ? this.box.scrollTop - (this.top() - from * this.options.height) : from * this.options.height;
    this.lines.style.transform = `translateY(${offset}px)`;
  }

  private fill(): void {
    const list: HTMLElement[] = [];
    for (let i = this.from; i < this.to; i++) list.push(this.options.draw(i));
    if (!list.some((row) => row.parentNode === this.lines)) {
      this.lines.replaceChildren(...list);
      return;
    }
    // Rows that stay are not touched: they are not laid out again, and keep the focus.
    const stay = new Set<Element>(list);
    for (const row of [...this.lines.children]) if (!stay.has(row)) row.remove();
    let at = this.lines.firstElementChild;
    for (const row of list) {
      if (row === at) at = at.nextElementSibling;
      else this.lines.insertBefore(row, at);
    }
  }
}
