// The one stream of events of all tabs. Over HTTP/1.1 a browser opens six connections to a server, and each stream would
// hold one for good; so tabs say here which topics they want, and get what belongs to them.
import { addressOf, type FromWorker, type ToWorker } from "./stream.ts";

interface Tab {
  port: MessagePort;
  topics: string[];
  last: number; // position in the feed up to which the tab knows everything
  heard: number; // when it last said something
}

declare const self: { onconnect: (e: MessageEvent) => void };

const tabs = new Map<MessagePort, Tab>();
const GONE_AFTER_MS = 200_000; // hidden tabs may say something once a minute only

let source: EventSource | undefined;
let wait = 1000;
let retrying: ReturnType<typeof setTimeout> | undefined;
let state: "open" | "broken" = "broken";

const say = (to: Tab, message: FromWorker): void => to.port.postMessage(message);

function tell(now: typeof state): void {
  state = now;
  for (const tab of tabs.values()) say(tab, { kind: now });
}

function address(): string {
  const list = [...tabs.values()];
  return addressOf(new Set(list.flatMap((tab) => tab.topics)), Math.min(...list.map((tab) => tab.last)));
}

function open(): void {
  clearTimeout(retrying);
  source?.close();
  source = undefined;
  if (tabs.size === 0) return;
  const es = new EventSource(address());
  source = es;
  es.onopen = () => {
    wait = 1000;
    tell("open");
  };
  const pass = (kind: "message" | "reset") => (e: MessageEvent<string>) => {
    const id = Number(e.lastEventId);
    for (const tab of tabs.values()) {
      // It was there before; but what is said of pools has the place in the feed of something else.
      if (id <= tab.last && kind === "message" && !e.data.includes('"kind":"pool"')) continue;
      tab.last = Math.max(id, tab.last);
      say(tab, { kind, id, data: e.data });
    }
  };
  es.onmessage = pass("message");
  es.addEventListener("reset", pass("reset"));
  es.onerror = () => {
    if (source !== es) return;
    tell("broken");
    // The browser tries again by itself, but with the address of the beginning.
    es.close();
    retrying = setTimeout(open, wait);
    wait = Math.min(15_000, wait * 2);
  };
}

self.onconnect = (e) => {
  const port = e.ports[0]!;
  port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    const tab = tabs.get(port);
    if (tab) tab.heard = Date.now();
    switch (data.kind) {
      case "join": {
        const joined: Tab = { port, topics: data.topics, last: data.last, heard: Date.now() };
        tabs.set(port, joined);
        say(joined, { kind: state });
        open();
        break;
      }
      case "leave":
        if (tabs.delete(port) && tabs.size === 0) open();
        break;
      case "retry":
        if (state === "broken") {
          wait = 1000;
          open();
        }
        break;
      case "here":
        break;
    }
  };
};

setInterval(() => {
  for (const [port, tab] of tabs) if (Date.now() - tab.heard > GONE_AFTER_MS) tabs.delete(port);
  if (tabs.size === 0 && source) open();
}, 30_000);
