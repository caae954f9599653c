// Messages as they come, with whether they would fire the hook. However many come, the last 500 are kept and the
// page draws once a frame.
import { bootOf } from "../shell/data.ts";

interface Heard {
  time: number;
  exchange: string;
  key: string;
  fires: boolean;
  reason: string;
  task: string;
}

const KEPT = 500;

export function start(): void {
  const button = document.querySelector<HTMLButtonElement>("#listen");
  if (!button) return;
  const rows = document.querySelector<HTMLElement>("#rows")!;
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
  const cell = (row: HTMLTableRowElement, text: string, code = false): void => {
    const td = row.insertCell();
    if (!code) td.textContent = text;
    else td.appendChild(document.createElement("code")).textContent = text;
  };
  const draw = (): void => {
    planned = false;
    const list = fresh.slice(-KEPT);
    fresh = [];
    const part = document.createDocumentFragment();
    for (const m of list.reverse()) {
      const row = document.createElement("tr");
      row.className = m.fires ? "fires" : "passes";
      cell(row, new Date(m.time).toLocaleTimeString());
      cell(row, m.fires ? "✓ yes" : "– no");
      cell(row, m.exchange.split("/").at(-1) + " " + m.key, true);
      cell(row, m.reason);
      part.append(row);
    }
    rows.prepend(part);
    while (rows.childElementCount > KEPT) rows.lastElementChild!.remove();
    say(`${total} messages, the last ${rows.childElementCount} below`);
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
    rows.replaceChildren();
    total = 0;
    say("");
  });
}
