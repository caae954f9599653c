// Messages as listeners get them: the last 500 are kept, whatever comes.
import { bootOf } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";

interface Message {
  exchange: string;
  routingKey: string;
  cc: string[];
  time: string;
  position: number;
  payload: unknown;
}

interface Data {
  stream: string;
  most: number;
}

export function start(root: HTMLElement): void {
  const { stream, most } = bootOf().data as Data;
  const button = root.querySelector<HTMLButtonElement>("#listen")!;
  const filter = root.querySelector<HTMLInputElement>("#pulse-filter")!;
  const save = root.querySelector<HTMLButtonElement>("#pulse-save")!;
  const count = root.querySelector<HTMLElement>("#pulse-count")!;
  const rows = root.querySelector<HTMLElement>("#pulse-rows")!;
  for (const e of [button, filter, save]) e.hidden = false;
  let source: EventSource | undefined;
  let kept: Message[] = [];
  let seen = 0;
  let drawn = false;

  const row = (m: Message): HTMLElement => {
    const tr = document.createElement("tr");
    const cell = (text: string, code: boolean): void => {
      const td = document.createElement("td");
      const inner = document.createElement(code ? "code" : "span");
      inner.textContent = text;
      td.append(inner);
      tr.append(td);
    };
    cell(new Date(m.time).toLocaleTimeString(), false);
    cell(m.exchange, true);
    cell(m.routingKey, true);
    const td = document.createElement("td");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "JSON";
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      const pre = document.createElement("pre");
      pre.className = "code";
      pre.tabIndex = 0;
      pre.textContent = JSON.stringify(m.payload, null, 2);
      details.append(pre);
    });
    td.append(details);
    tr.append(td);
    return tr;
  };

  const draw = (): void => {
    drawn = false;
    const text = filter.value.toLowerCase();
    const shown = text === "" ? kept : kept.filter((m) => JSON.stringify(m).toLowerCase().includes(text));
    rows.replaceChildren(...shown.slice(0, 100).map(row));
    count.textContent = `${seen} messages, ${kept.length} kept${text === "" ? "" : `, ${shown.length} with this text`}${shown.length > 100 ? ", the last 100 shown" : ""}`;
    document.body.dataset["kept"] = String(kept.length);
    document.body.dataset["seen"] = String(seen);
  };
  const soon = (): void => {
    if (drawn) return;
    drawn = true;
    setTimeout(draw, 250);
  };

  const listen = (): void => {
    if (source) {
      source.close();
      source = undefined;
      button.textContent = "Start";
      return;
    }
    source = new EventSource(stream);
    source.onopen = () => (document.body.dataset["listening"] = "true");
    source.onmessage = (e: MessageEvent<string>) => {
      const list = JSON.parse(e.data) as Message[];
      seen += list.length;
      kept = [...list.reverse(), ...kept].slice(0, most);
      soon();
    };
    button.textContent = "Stop";
  };
  button.addEventListener("click", listen);
  filter.addEventListener("input", soon);
  save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(kept, null, 2)], { type: "application/json" }));
    link.download = "messages.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  addEventListener("pagehide", () => source?.close());
  bind("Pulse messages", "p", "start or stop", listen);
}
