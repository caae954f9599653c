// The waterfall: a line for each task, with what its time was spent with. Only the lines in view are in the page.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { axis } from "../group/timeline.ts";
import { mark } from "../group/mark.ts";
import { WORD } from "../shell/look.tsx";
import { Rows } from "../shell/rows.ts";
import { duration, plural } from "../shell/time.ts";
import type { Bar, Step } from "./data.ts";
import { sentence, stateOf, type Line } from "./lines.ts";
import { choose, chosen, lines, move, open, pan, steps, toggle, trace, view, zoom } from "./model.ts";

const HEIGHT = 26; // of a line, pixels

function element(name: string, className: string, content = ""): HTMLElement {
  const e = document.createElement(name);
  e.className = className;
  if (content) e.textContent = content;
  return e;
}

// placed puts an element at its time, or says that it is out of view.
function placed(e: HTMLElement, from: number, to: number): HTMLElement | null {
  const [first, last] = view.value;
  if (to < first || from > last) return null;
  const length = last - first;
  const a = Math.max(first, from);
  const b = Math.min(last, to);
  e.style.left = `${((a - first) / length) * 100}%`;
  e.style.width = `${((b - a) / length) * 100}%`;
  return e;
}

function barOf(b: Bar, l: Line): HTMLElement | null {
  const e = element("span", `wf-bar wf-${b.what}` + (b.what === "run" ? ` st-${b.open ? "running" : b.state === "completed" ? "passed" : b.result === "canceled" ? "cancelled" : (b.state ?? "passed")}` : "") + (b.open ? " open" : ""));
  e.title = `${l.name}: ${sentence(b)}`;
  return placed(e, b.from, b.to);
}

function stepOf(s: Step): HTMLElement | null {
  const e = element("span", "wf-critical");
  return placed(e, s.from, s.to);
}

function words(l: Line): string {
  if (!l.row) return `${l.name}: ${plural(l.rows.length, "line")}, ${l.shut ? "closed" : "open"}`;
  const said = l.row.bars.map(sentence).join("; ");
  return `${l.name}, ${WORD[stateOf(l.row)]}${l.critical ? ", on the critical path" : ""}${said ? `: ${said}` : ""}`;
}

function draw(l: Line, i: number): HTMLElement {
  const e = element("div", "v-row" + (i === chosen.value ? " sel" : "") + (l.row ? "" : " kind") + (l.critical ? " critical" : ""));
  e.id = `w-${i}`;
  e.setAttribute("role", "option");
  e.setAttribute("aria-selected", String(i === chosen.value));
  e.dataset["i"] = String(i);
  e.style.height = `${HEIGHT}px`;
  const name = element("span", "wf-name");
  name.title = l.name;
  name.append(element("span", "wf-diamond", l.critical ? "◆" : ""));
  if (l.row) name.append(mark(stateOf(l.row)));
  else name.append(element("span", "wf-fold", l.shut ? "▸" : "▾"));
  name.append(element("span", "wf-label", l.row ? l.name : `${l.name} (${l.rows.length.toLocaleString()})`));
  const track = element("span", "wf-track");
  const parts = l.row ? l.row.bars.map((b) => barOf(b, l)) : [placed(element("span", "wf-bar wf-hull"), l.from, l.to)];
  if (l.row && l.critical) parts.push(...(steps.value.get(l.row.id) ?? []).map(stepOf));
  for (const p of parts) if (p) track.append(p);
  // What the line shows is said once, in words.
  name.setAttribute("aria-hidden", "true");
  track.setAttribute("aria-hidden", "true");
  e.append(element("span", "visually-hidden", words(l)), name, track);
  return e;
}

export function Waterfall() {
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<Rows>(null);
  const list = lines.value;
  const now = useRef(list);
  now.current = list;
  useEffect(() => {
    rows.current = new Rows(box.current!, { height: HEIGHT, overscan: 12, draw: (i) => draw(now.current[i]!, i) }, "", "v-lines");
    const stop = navigate(box.current!);
    return () => {
      stop();
      rows.current?.stop();
    };
  }, []);
  useEffect(() => {
    rows.current?.set(list.length);
    box.current!.dataset["drawn"] = String(list.length);
  }, [list]);
  useEffect(() => rows.current?.redraw(), [view.value]);
  useEffect(() => {
    rows.current?.redraw();
    if (chosen.value >= 0 && chosen.value < list.length) rows.current?.reveal(chosen.value);
  }, [chosen.value]);
  return (
    <div class="card wf">
      <div class="wf-head" aria-hidden="true">
        <span class="wf-name muted small">{plural(list.length, "line")}</span>
        <Axis />
      </div>
      <div
        class="wf-lines" ref={box} role="listbox" tabIndex={0} aria-label="What happened, the first thing first"
        aria-activedescendant={chosen.value >= 0 && chosen.value < list.length ? `w-${chosen.value}` : undefined}
        onClick={(e) => {
          const i = (e.target as HTMLElement).closest<HTMLElement>("[data-i]")?.dataset["i"];
          if (i === undefined) return;
          choose(Number(i));
          if (!list[Number(i)]!.row) toggle(Number(i));
        }}
        onDblClick={() => open()}
        onKeyDown={(e) => {
          const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 }[e.key];
          if (step !== undefined) move(step);
          else if (e.key === "Enter") open();
          else if (e.key === " " || e.key === "ArrowLeft" || e.key === "ArrowRight") toggle(chosen.value, e.key === " " ? undefined : e.key === "ArrowLeft");
          else return;
          e.preventDefault();
          e.stopPropagation();
        }}
      />
      {list.length === 0 && <p class="muted wf-none">{trace.value.rows.length ? "Nothing matches." : "Nothing has happened yet."}</p>}
    </div>
  );
}

function Axis() {
  const [from, to] = view.value;
  const marks = useMemo(() => {
    const all = axis(to - from);
    const step = all.length > 1 ? all[1]! : to - from;
    const out: number[] = [];
    for (let t = Math.ceil(from / step) * step; t < to; t += step) out.push(t);
    return out;
  }, [from, to]);
  return (
    <span class="wf-track wf-axis">
      {marks.map((t) => (
        <span key={t} class="wf-tick" ref={(e) => { if (e) e.style.left = `${((t - from) / (to - from)) * 100}%`; }}>{t <= 0 ? (t === 0 ? "0" : "") : duration(t)}</span>
      ))}
    </span>
  );
}

// navigate lets wheel and pointer zoom and move the time; lines scroll as usual.
function navigate(box: HTMLElement): () => void {
  const place = (x: number): number => {
    const track = box.querySelector(".wf-track")?.getBoundingClientRect();
    return track ? Math.min(1, Math.max(0, (x - track.left) / track.width)) : 0.5;
  };
  const width = () => box.querySelector(".wf-track")?.clientWidth || 1;
  const wheel = (e: WheelEvent) => {
    if (e.ctrlKey || e.metaKey) zoom(Math.exp(e.deltaY * 0.003), place(e.clientX));
    else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) pan((e.deltaX || e.deltaY) / width());
    else return;
    e.preventDefault();
  };
  const down = (e: PointerEvent) => {
    if (e.button !== 0 || e.pointerType === "touch" || !(e.target as HTMLElement).closest(".wf-track")) return;
    let { clientX: x } = e;
    const drag = (m: PointerEvent) => {
      if (m.clientX !== x) pan((x - m.clientX) / width());
      x = m.clientX;
    };
    const up = () => {
      removeEventListener("pointermove", drag);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", up);
    };
    addEventListener("pointermove", drag);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", up);
  };
  box.addEventListener("wheel", wheel, { passive: false });
  box.addEventListener("pointerdown", down);
  return () => {
    box.removeEventListener("wheel", wheel);
    box.removeEventListener("pointerdown", down);
  };
}

