// Rows of tasks of which only those in view are in the page.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Cell } from "../shell/data.ts";
import { Rows } from "../shell/rows.ts";
import { beat, moved } from "./model.ts";

/** Keeps a window of rows in step with a list, of which the one at a place is chosen; extra is what else the rows show. */
export function useRows(list: Cell[], at: number, height: number, role: "row" | "option", draw: (c: Cell, row: HTMLElement) => void, extra: unknown = 0): RefObject<HTMLDivElement | null> {
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<Rows>(null);
  const now = useRef({ list, at, draw });
  now.current = { list, at, draw };
  useEffect(() => {
    rows.current = new Rows(box.current!, {
      height, overscan: 20,
      draw: (i) => {
        const c = now.current.list[i]!;
        const row = document.createElement("div");
        row.className = "v-row" + (i === now.current.at ? " sel" : "") + (moved.value.has(c.id) ? " moved" : "");
        row.setAttribute("role", role);
        if (role === "option") {
          row.id = `o-${c.id}`;
          row.setAttribute("aria-selected", String(i === now.current.at));
          row.dataset["i"] = String(i);
        } else row.setAttribute("aria-rowindex", String(i + 2));
        row.style.height = `${height}px`;
        now.current.draw(c, row);
        return row;
      },
    }, "", "v-lines");
    return () => rows.current?.stop();
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

export function cell(row: HTMLElement, name: string, content: string | Node, title = ""): void {
  const e = document.createElement("span");
  e.className = name;
  if (row.getAttribute("role") === "row") e.setAttribute("role", "cell");
  if (title) e.title = title;
  e.append(content);
  row.append(e);
}

export function linkTo(c: Cell): HTMLElement {
  const a = document.createElement("a");
  a.href = `/tasks/${c.id}`;
  a.textContent = c.name;
  a.title = c.name;
  return a;
}

export { mark } from "./mark.ts";
