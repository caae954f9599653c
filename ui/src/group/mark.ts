import { bootOf, type State } from "../shell/data.ts";
import { WORD } from "../shell/look.tsx";

/** The sign of a state with its word, for rows that are made without a framework. */
export function mark(s: State): HTMLElement {
  const e = document.createElement("span");
  e.className = `status st-${s}`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${bootOf().icons}#st-${s}`);
  svg.append(use);
  e.append(svg, WORD[s]);
  return e;
}
