// Marks beside the scroll bar: where in the log failures and hits are.
import type { RowMap } from "./place.ts";
import type { Hit } from "./search.ts";

const WIDTH = 8; // pixels
const MOST = 20_000; // hits drawn

export class Marks {
  private readonly box: HTMLElement;
  private readonly canvas = document.createElement("canvas");
  private drawn = "";

  constructor(box: HTMLElement) {
    this.box = box;
    this.canvas.className = "log-marks";
    this.canvas.setAttribute("aria-hidden", "true");
    box.parentElement!.append(this.canvas);
  }

  stop(): void {
    this.canvas.remove();
  }

  draw(rows: RowMap, errors: Set<number>, hits: Hit[]): void {
    const height = this.box.clientHeight;
    const style = getComputedStyle(this.box);
    const as = [height, rows.rows, errors.size, hits.length, style.color, devicePixelRatio].join();
    if (as === this.drawn) return;
    this.drawn = as;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = WIDTH * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.height = `${height}px`;
    this.canvas.style.right = `${this.box.offsetWidth - this.box.clientWidth}px`;
    const draw = this.canvas.getContext("2d")!;
    draw.scale(ratio, ratio);
    draw.clearRect(0, 0, WIDTH, height);
    const all = Math.max(1, rows.rows);
    const at = (line: number) => Math.round((rows.row(line) / all) * (height - 3));
    draw.fillStyle = color(this.canvas, "--mark-now");
    const seen = new Set<number>();
    for (let i = 0; i < Math.min(hits.length, MOST); i++) seen.add(at(hits[i]!.line));
    for (const y of seen) draw.fillRect(WIDTH / 2, y, WIDTH / 2, 3);
    draw.fillStyle = color(this.canvas, "--failed");
    for (const line of errors) draw.fillRect(0, at(line), WIDTH / 2, 3);
  }
}

// color resolves a colour of the design, which may differ between themes.
function color(in_: HTMLElement, name: string): string {
  in_.style.color = `var(${name})`;
  return getComputedStyle(in_).color;
}
