// Rows of tasks of which only those in view are in the page. A row stays as long as its task is in view, and only what
// differs in it is written: at hundreds of changes a second anything else keeps the browser busy.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Cell, State } from "../shell/data.ts";
import { Rows } from "../shell/rows.ts";
import { now as clock } from "../shell/time.ts";
import { mark } from "./mark.ts";
import { beat, moved } from "./model.ts";

const KEPT = 400; // rows, more than any window has

/**
 * Keeps a window of rows in step with a list, of which the one at a place is chosen; extra is what else the rows show. draw
 * writes a task into its row, which may hold what it wrote before.
 */
export function useRows(list: Cell[], at: number, height: number, role: "row" | "option", draw: (c: Cell, row: HTMLElement) => void, extra: unknown = 0): RefObject<HTMLDivElement | null> {
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<Rows>(null);
  const now = useRef({ list, at, draw });
  now.current = { list, at, draw };
  useEffect(() => {
    const kept = new Map<string, HTMLElement>();
    const fresh = (c: Cell): HTMLElement => {
      const row = document.createElement("div");
      row.setAttribute("role", role);
      if (role === "option") row.id = `o-${c.id}`;
      row.style.height = `${height}px`;
      if (kept.size >= KEPT) kept.clear();
      kept.set(c.id, row);
      return row;
    };
    rows.current = new Rows(box.current!, {
      height, overscan: 20,
      draw: (i) => {
        const c = now.current.list[i]!;
        const row = kept.get(c.id) ?? fresh(c);
        const look = "v-row" + (i === now.current.at ? " sel" : "") + (moved.value.has(c.id) ? " moved" : "");
        if (row.className !== look) row.className = look;
        if (role === "option") {
          set(row, "aria-selected", String(i === now.current.at));
          set(row, "data-i", String(i));
        } else set(row, "aria-rowindex", String(i + 2));
        now.current.draw(c, row);
        return row;
      },
    }, "", "v-lines");
    // How long something waits or runs goes on while nothing else happens.
    const ticking = clock.subscribe(() => rows.current?.redraw());
    return () => {
      ticking();
      rows.current?.stop();
    };
  }, []);
  useEffect(() => {
    rows.current?.set(list.length);
  }, [list, beat.value, moved.value, extra]);
  useEffect(() => {
    rows.current?.redraw();
    if (at >= 0 && at < list.length) rows.current?.reveal(at);
  }, [at]);
  return box;
}

function set(e: HTMLElement, name: string, value: string): void {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

// part is what stands at a place of a row, made when it is not there yet.
function part(row: HTMLElement, at: number, name: string): HTMLElement {
  let e = row.children[at] as HTMLElement | undefined;
  if (!e) {
    e = document.createElement("span");
    if (row.getAttribute("role") === "row") e.setAttribute("role", "cell");
    row.append(e);
  }
  if (e.className !== name) e.className = name;
  return e;
}

function write(e: HTMLElement, text: string): void {
  const last = e.lastChild;
  if (!(last instanceof Text)) e.append(text);
  else if (last.data !== text) last.data = text;
}

/** Writes a text at a place of a row. */
export function cell(row: HTMLElement, at: number, name: string, text: string, title = ""): void {
  const e = part(row, at, name);
  write(e, text);
  if (e.title !== title) e.title = title;
}

/** Puts the sign of a state at a place of a row, and a text after it. */
export function sign(row: HTMLElement, at: number, name: string, state: State, text = ""): void {
  const e = part(row, at, name);
  if (e.dataset["state"] !== state) {
    e.dataset["state"] = state;
    e.replaceChildren(mark(state));
  }
  write(e, text);
}

/** Puts the name of a task, which leads to it, at a place of a row. */
export function name(row: HTMLElement, at: number, c: Cell): void {
  const e = part(row, at, "");
  const a = (e.firstChild as HTMLAnchorElement | null) ?? e.appendChild(document.createElement("a"));
  if (a.title === c.name) return;
  a.href = `/tasks/${c.id}`;
  a.textContent = a.title = c.name;
}
