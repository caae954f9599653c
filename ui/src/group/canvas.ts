// The timeline of a group, drawn: a bar for each task, hatched while it waited, solid while it ran.
import type { State } from "../shell/data.ts";
import { duration } from "../shell/time.ts";
import { barAt, type Bar, type Lanes } from "./lanes.ts";
import { axis } from "./timeline.ts";

const ROW = 12; // pixels
const BAR = 9;
const HEAD = 22; // of the axis
const LANE = 18; // of a lane's name

export interface CanvasOptions {
  hover: (bar: Bar | undefined, x: number, y: number) => void;
  open: (bar: Bar) => void;
}

const FILLS: Record<State, string> = {
  passed: "--passed", failed: "--failed-fill", exception: "--exception-fill", running: "--running", cancelled: "--cancelled", pending: "--pending", unscheduled: "--unscheduled", retried: "--running",
};

export class TimelineCanvas {
  private readonly canvas: HTMLCanvasElement;
  private readonly o: CanvasOptions;
  private readonly observer: ResizeObserver;
  private readonly media = matchMedia("(prefers-color-scheme: dark)");
  private lanes: Lanes = { bars: [], lanes: [], rows: 0, starts: [0] };
  private critical = new Set<string>();
  private chosen = "";
  private whole: [number, number] = [0, 1000];
  private view: [number, number] = [0, 1000]; // milliseconds since 1970
  private top = 0; // pixels above the view
  private fitted = true;
  private frame = 0;
  private colors: Record<string, string> | null = null;
  private hatch: CanvasPattern | null = null;

  constructor(canvas: HTMLCanvasElement, options: CanvasOptions) {
    this.canvas = canvas;
    this.o = options;
    this.observer = new ResizeObserver(() => this.later());
    this.observer.observe(canvas);
    this.media.addEventListener("change", this.repaint);
    canvas.addEventListener("wheel", this.wheel, { passive: false });
    canvas.addEventListener("pointerdown", this.down);
    canvas.addEventListener("pointermove", this.move);
    canvas.addEventListener("pointerleave", () => options.hover(undefined, 0, 0));
  }

  stop(): void {
    this.observer.disconnect();
    this.media.removeEventListener("change", this.repaint);
    cancelAnimationFrame(this.frame);
  }

  private readonly repaint = (): void => {
    this.colors = null;
    this.later();
  };

  set(lanes: Lanes, whole: [number, number], critical: Set<string>, chosen: string): void {
    this.lanes = lanes;
    this.critical = critical;
    this.chosen = chosen;
    this.whole = whole;
    if (this.fitted) this.view = [...whole];
    this.later();
  }

  /** Shows everything. */
  fit(): void {
    this.fitted = true;
    this.view = [...this.whole];
    this.top = 0;
    this.later();
  }

  /** Zooms by a factor around a place in the view, from 0 to 1. */
  zoom(factor: number, at = 0.5): void {
    const [from, to] = this.view;
    const length = Math.min((this.whole[1] - this.whole[0]) * 1.2, Math.max(200, (to - from) * factor));
    const fix = from + (to - from) * at;
    this.view = [fix - length * at, fix + length * (1 - at)];
    this.fitted = false;
    this.keepIn();
    this.later();
  }

  /** Moves the view by pixels. */
  pan(x: number, y: number): void {
    const ms = (x / this.canvas.clientWidth) * (this.view[1] - this.view[0]);
    this.view = [this.view[0] + ms, this.view[1] + ms];
    this.top += y;
    if (x !== 0) this.fitted = false;
    this.keepIn();
    this.later();
  }

  /** Brings a task's bar into view. */
  reveal(id: string): void {
    const bar = this.lanes.bars.find((b) => b.cell.id === id);
    this.chosen = id;
    if (bar) {
      const y = this.y(bar.row);
      const room = this.canvas.clientHeight - HEAD;
      if (y < this.top || y + ROW > this.top + room) this.top = y - room / 2;
      const [from, to] = this.view;
      if (bar.to < from || bar.from > to) this.view = [bar.from - (to - from) / 2, bar.from + (to - from) / 2];
      this.keepIn();
    }
    this.later();
  }

  private keepIn(): void {
    const [from, to] = this.view;
    const length = to - from;
    const first = this.whole[0] - length * 0.5;
    const last = this.whole[1] + length * 0.5;
    const shift = from < first ? first - from : to > last ? last - to : 0;
    this.view = [from + shift, to + shift];
    this.top = Math.max(0, Math.min(this.top, this.height() - (this.canvas.clientHeight - HEAD)));
  }

  private height(): number {
    return this.lanes.rows * ROW + this.lanes.lanes.length * LANE + 4;
  }

  private laneOf(row: number): number {
    let low = 0;
    let high = this.lanes.lanes.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.lanes.lanes[mid]!.first <= row) low = mid + 1;
      else high = mid;
    }
    return low - 1;
  }

  // y is where a row begins, below the axis and without scrolling.
  private y(row: number): number {
    return row * ROW + (this.laneOf(row) + 1) * LANE;
  }

  private rowAt(y: number): number {
    let low = 0;
    let high = this.lanes.rows;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.y(mid) <= y) low = mid + 1;
      else high = mid;
    }
    const row = low - 1;
    return row >= 0 && y < this.y(row) + ROW ? row : -1;
  }

  private at(e: MouseEvent): Bar | undefined {
    const box = this.canvas.getBoundingClientRect();
    const y = e.clientY - box.top - HEAD;
    if (y < 0) return undefined;
    const pixel = (this.view[1] - this.view[0]) / this.canvas.clientWidth;
    return barAt(this.lanes, this.rowAt(y + this.top), this.view[0] + (e.clientX - box.left) * pixel, 3 * pixel);
  }

  private readonly wheel = (e: WheelEvent): void => {
    e.preventDefault();
    const step = e.deltaMode === 1 ? 16 : 1;
    if (e.ctrlKey || e.metaKey) {
      const box = this.canvas.getBoundingClientRect();
      this.zoom(Math.exp(e.deltaY * step * 0.003), (e.clientX - box.left) / box.width);
    } else if (e.shiftKey) this.pan(e.deltaY * step, 0);
    else this.pan(e.deltaX * step, e.deltaY * step);
  };

  private readonly move = (e: PointerEvent): void => {
    if (e.buttons === 0) this.o.hover(this.at(e), e.clientX, e.clientY);
  };

  private readonly down = (e: PointerEvent): void => {
    if (e.button !== 0) return;
    const start = this.at(e);
    let { clientX: x, clientY: y } = e;
    let far = 0;
    this.canvas.setPointerCapture(e.pointerId);
    const drag = (m: PointerEvent) => {
      far += Math.abs(m.clientX - x) + Math.abs(m.clientY - y);
      this.pan(x - m.clientX, y - m.clientY);
      ({ clientX: x, clientY: y } = m);
    };
    const up = () => {
      this.canvas.removeEventListener("pointermove", drag);
      this.canvas.removeEventListener("pointerup", up);
      this.canvas.removeEventListener("pointercancel", up);
      if (far < 5 && start) this.o.open(start);
    };
    this.canvas.addEventListener("pointermove", drag);
    this.canvas.addEventListener("pointerup", up);
    this.canvas.addEventListener("pointercancel", up);
  };

  private later(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  private palette(): Record<string, string> {
    if (this.colors) return this.colors;
    const colors: Record<string, string> = {};
    for (const name of [...Object.values(FILLS), "--text", "--muted", "--line", "--line-strong", "--sunken", "--focus"]) {
      this.canvas.style.color = `var(${name})`;
      colors[name] = getComputedStyle(this.canvas).color;
    }
    this.canvas.style.color = "";
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const t = tile.getContext("2d")!;
    t.strokeStyle = colors["--muted"]!;
    t.lineWidth = 1.2;
    for (const d of [-6, 0, 6]) {
      t.moveTo(d, 6);
      t.lineTo(d + 6, 0);
    }
    t.stroke();
    this.hatch = this.canvas.getContext("2d")!.createPattern(tile, "repeat");
    return (this.colors = colors);
  }

  private draw(): void {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      this.keepIn();
    }
    const g = canvas.getContext("2d")!;
    const colors = this.palette();
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const pixel = width / (this.view[1] - this.view[0]);
    const x = (t: number) => (t - this.view[0]) * pixel;
    g.save();
    g.beginPath();
    g.rect(0, HEAD, width, height - HEAD);
    g.clip();
    this.drawLanes(g, colors, width, height);
    this.drawBars(g, colors, x, width, height);
    g.restore();
    this.drawAxis(g, colors, x, width, height);
    canvas.dataset["drawn"] = String(Number(canvas.dataset["drawn"] ?? 0) + 1);
  }

  private drawLanes(g: CanvasRenderingContext2D, colors: Record<string, string>, width: number, height: number): void {
    g.font = "600 11px system-ui, sans-serif";
    g.textBaseline = "middle";
    for (const [i, lane] of this.lanes.lanes.entries()) {
      const y = HEAD + lane.first * ROW + i * LANE - this.top;
      if (y > height || y + LANE + lane.rows * ROW < HEAD) continue;
      g.fillStyle = colors["--sunken"]!;
      g.fillRect(0, y, width, LANE - 2);
      g.fillStyle = colors["--muted"]!;
      g.fillText(lane.name, 8, y + LANE / 2 - 1);
    }
  }

  private drawBars(g: CanvasRenderingContext2D, colors: Record<string, string>, x: (t: number) => number, width: number, height: number): void {
    const { lanes } = this;
    const first = Math.max(0, this.firstRow(this.top - ROW));
    const last = Math.min(lanes.rows, this.firstRow(this.top + height - HEAD) + 1);
    const bars: { bar: Bar; y: number }[] = [];
    for (let row = first; row < last; row++) {
      const y = HEAD + this.y(row) - this.top;
      for (let i = lanes.starts[row]!; i < lanes.starts[row + 1]!; i++) {
        const bar = lanes.bars[i]!;
        if (bar.to >= this.view[0] && bar.from <= this.view[1]) bars.push({ bar, y });
      }
    }
    g.fillStyle = this.hatch ?? colors["--line-strong"]!;
    for (const { bar, y } of bars) {
      const a = Math.max(-4, x(bar.from));
      const b = Math.min(width + 4, x(bar.begin));
      if (b - a > 0.5) g.fillRect(a, y, b - a, BAR);
    }
    const byState = new Map<State, typeof bars>();
    for (const b of bars) {
      if (b.bar.cell.started === 0) continue;
      const list = byState.get(b.bar.state);
      if (list) list.push(b);
      else byState.set(b.bar.state, [b]);
    }
    for (const [state, list] of byState) {
      g.fillStyle = colors[FILLS[state]]!;
      for (const { bar, y } of list) {
        const a = Math.max(-4, x(bar.begin));
        g.fillRect(a, y, Math.max(1.5, Math.min(width + 4, x(bar.to)) - a), BAR);
      }
    }
    for (const { bar, y } of bars) {
      const chosen = bar.cell.id === this.chosen;
      if (!chosen && !this.critical.has(bar.cell.id)) continue;
      g.strokeStyle = chosen ? colors["--focus"]! : colors["--text"]!;
      g.lineWidth = chosen ? 3 : 1.6;
      const a = Math.max(-4, x(bar.from));
      g.strokeRect(a, y - 0.5, Math.max(3, Math.min(width + 4, x(bar.to)) - a), BAR + 1);
    }
  }

  private firstRow(y: number): number {
    let low = 0;
    let high = this.lanes.rows;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.y(mid) < y) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  private drawAxis(g: CanvasRenderingContext2D, colors: Record<string, string>, x: (t: number) => number, width: number, height: number): void {
    const start = this.whole[0];
    g.font = "11px system-ui, sans-serif";
    const length = this.view[1] - this.view[0];
    const marks = axis(length);
    const step = marks.length > 1 ? marks[1]! : length;
    g.fillStyle = colors["--muted"]!;
    g.strokeStyle = colors["--line"]!;
    g.lineWidth = 1;
    for (let t = Math.ceil((this.view[0] - start) / step) * step; t <= this.view[1] - start; t += step) {
      const at = Math.round(x(start + t)) + 0.5;
      g.beginPath();
      g.moveTo(at, HEAD - 4);
      g.lineTo(at, height);
      g.stroke();
      if (t >= 0 && at < width - 30) g.fillText(t === 0 ? "0" : duration(t), at + 3, HEAD / 2);
    }
  }
}
