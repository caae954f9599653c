import { useEffect, useMemo, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { WORD } from "../shell/look.tsx";
import { duration } from "../shell/time.ts";
import { setQuery } from "../shell/url.ts";
import { TimelineCanvas } from "./canvas.ts";
import { arrange, type Bar } from "./lanes.ts";
import { beat, chosen, graph, kinds, lanes, listed } from "./model.ts";
import { cell, sign, useRows } from "./rows.tsx";
import { span } from "./timeline.ts";

let canvas: TimelineCanvas | undefined;

/** Does something with the canvas, when it is shown. */
export function onCanvas(f: (c: TimelineCanvas) => void): void {
  if (canvas) f(canvas);
}

const hovered = signal<{ bar: Bar; x: number; y: number } | null>(null);

function sentence(b: Bar): string {
  const waited = `waited ${duration(b.begin - b.from)}`;
  return `${WORD[b.state]}; ${b.cell.started ? `${waited}, ran ${duration(b.to - b.begin)}` : waited}`;
}

export function TimelineView() {
  const element = useRef<HTMLCanvasElement>(null);
  const cells = listed.value;
  const critical = useMemo(() => new Set(graph.value?.critical ?? []), [graph.value]);
  const byTime = useMemo(() => cells.filter((c) => c.scheduled > 0).sort((a, b) => a.scheduled - b.scheduled || a.started - b.started), [cells]);
  const whole = span(cells, Date.now());
  const arranged = useMemo(
    () => arrange(cells, Date.now(), (c) => (lanes.value === "kind" ? (kinds.value.get(c.id) ?? "") : c.queue)),
    [cells, beat.value, lanes.value, kinds.value],
  );
  const at = cells[chosen.value]?.id ?? "";
  useEffect(() => {
    canvas = new TimelineCanvas(element.current!, {
      hover: (bar, x, y) => (hovered.value = bar ? { bar, x, y } : null),
      open: (bar) => location.assign(`/tasks/${bar.cell.id}`),
    });
    return () => {
      canvas?.stop();
      canvas = undefined;
      hovered.value = null;
    };
  }, []);
  useEffect(() => canvas?.set(arranged, [whole.from, whole.from + whole.length], critical, at), [arranged, critical]);
  useEffect(() => {
    if (at) canvas?.reveal(at);
  }, [at]);
  return (
    <div class="timeline">
      <div class="toolbar">
        <span class="muted small grow">
          Hatched: waits for a worker. Solid: runs. Outlined: the critical path{graph.value && graph.value.takes > 0 ? `, ${duration(graph.value.takes)}` : ""}. Drag to move, ctrl and wheel to zoom; a click on a bar, or enter in the list, opens the task.
        </span>
        <span class="seg" role="group" aria-label="Lanes">
          {(["pool", "kind"] as const).map((l) => (
            <button key={l} type="button" aria-pressed={lanes.value === l} onClick={() => {
              lanes.value = l;
              setQuery({ lanes: l === "pool" ? null : l });
            }}>by {l}</button>
          ))}
        </span>
        <button type="button" class="button quiet" aria-label="Zoom in" onClick={() => canvas?.zoom(0.6)}>+</button>
        <button type="button" class="button quiet" aria-label="Zoom out" onClick={() => canvas?.zoom(1 / 0.6)}>−</button>
        <button type="button" class="button quiet" onClick={() => canvas?.fit()}>Fit</button>
      </div>
      <div class="timeline-body">
        <canvas class="card" ref={element} role="img" aria-label={`Time line of ${byTime.length} tasks. The list beside it has the same.`} />
        <TimeList key={lanes.value} cells={byTime} from={whole.from} critical={critical} />
      </div>
      {byTime.length === 0 && <p class="muted">Nothing could run yet.</p>}
      <Tip />
    </div>
  );
}

// TimeList has what the time line draws, for the keyboard and for screen readers.
function TimeList({ cells, from, critical }: { cells: typeof listed.value; from: number; critical: Set<string> }) {
  const at = listed.value[chosen.value]?.id;
  const now = useMemo(() => cells.findIndex((c) => c.id === at), [cells, at]);
  const box = useRows(cells, now, 44, "option", (c, row) => {
    const end = c.ended || Date.now();
    cell(row, 0, "name" + (critical.has(c.id) ? " critical" : ""), c.name, c.name);
    sign(row, 1, "small muted", c.state, ` +${duration(c.scheduled - from)}, waited ${duration((c.started || end) - c.scheduled)}${c.started ? `, ran ${duration(end - c.started)}` : ""}${critical.has(c.id) ? ", critical" : ""}`);
  }, critical);
  const choose = (i: number) => {
    const id = cells[Math.max(0, Math.min(cells.length - 1, i))]?.id;
    chosen.value = listed.value.findIndex((c) => c.id === id);
  };
  return (
    <div
      class="card time-list" ref={box} role="listbox" tabIndex={0} aria-label="Tasks in the order in which they could run" aria-activedescendant={at ? `o-${at}` : undefined}
      onClick={(e) => {
        const i = (e.target as HTMLElement).closest<HTMLElement>("[data-i]")?.dataset["i"];
        if (i !== undefined) choose(Number(i));
      }}
      onDblClick={() => {
        if (at) location.assign(`/tasks/${at}`);
      }}
      onKeyDown={(e) => {
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[e.key];
        if (step === undefined) return;
        e.preventDefault();
        e.stopPropagation();
        choose(now + step);
      }}
    />
  );
}

function Tip() {
  const h = hovered.value;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!h || !box.current) return;
    box.current.style.left = `${Math.min(h.x + 14, innerWidth - box.current.offsetWidth - 8)}px`;
    box.current.style.top = `${Math.min(h.y + 16, innerHeight - box.current.offsetHeight - 8)}px`;
  }, [h]);
  return (
    <div class="bar-tip" ref={box} role="status" hidden={!h}>
      {h && <><b>{h.bar.cell.name}</b><span class="muted">{sentence(h.bar)}, {h.bar.cell.queue}</span></>}
    </div>
  );
}
