// The one stream of events of all tabs. Over HTTP/1.1 a browser opens six connections to a server, and each stream would
// hold one for good; so tabs say here which topics they want, and get what belongs to them.
import type { Message } from "./data.ts";
import { addressOf, HELD_MS, type FromWorker, type ToWorker } from "./stream.ts";

interface Tab {
  port: MessagePort;
  topics: Set<string>;
  last: number; // position in the feed up to which the tab knows everything
  heard: number; // when it last said something
  seen: boolean; // somebody looks at it
  held: { id: number; data: string }[]; // messages that it is going to get together
  told: number; // when it last got some
  telling: ReturnType<typeof setTimeout> | undefined;
}

declare const self: { onconnect: (e: MessageEvent) => void };

const tabs = new Map<MessagePort, Tab>();
const GONE_AFTER_MS = 200_000; // hidden tabs may say something once a minute only
const TELL_MS = 100; // between two times that a tab is told: each of them costs its main thread
const TELL_UNSEEN_MS = 1000;

let source: EventSource | undefined;
let wait = 1000;
let retrying: ReturnType<typeof setTimeout> | undefined;
let state: "open" | "broken" = "broken";

const say = (to: Tab, message: FromWorker): void => to.port.postMessage(message);

/** Tells a tab what is held for it: at once, and not again for a moment, however much happens. */
function tellSoon(tab: Tab): void {
  if (tab.held.length === 0) return;
  clearTimeout(tab.telling);
  tab.telling = setTimeout(() => {
    tab.told = performance.now();
    const list = tab.held;
    tab.held = [];
    say(tab, { kind: "messages", ids: list.map((m) => m.id), data: `[${list.map((m) => m.data).join()}]` });
  }, Math.max(0, tab.told + (tab.seen ? TELL_MS : TELL_UNSEEN_MS) - performance.now()));
}

/** A tab that is gone is told nothing more. */
function drop(port: MessagePort): void {
  clearTimeout(tabs.get(port)?.telling);
  tabs.delete(port);
}

function tell(now: typeof state): void {
  state = now;
  for (const tab of tabs.values()) say(tab, { kind: now });
}

function address(): string {
  const list = [...tabs.values()];
  return addressOf(new Set(list.flatMap((tab) => [...tab.topics])), Math.min(...list.map((tab) => tab.last)));
}

function open(): void {
  clearTimeout(retrying);
  source?.close();
  source = undefined;
  if (tabs.size === 0) return;
  const es = new EventSource(address());
  source = es;
  let opened = Infinity;
  es.onopen = () => {
    wait = 1000;
    opened = performance.now();
    tell("open");
  };
  es.onmessage = (e: MessageEvent<string>) => {
    const id = Number(e.lastEventId);
    const { kind, to } = JSON.parse(e.data) as Message;
    for (const tab of tabs.values()) {
      // It was there before; but what is said of pools has the place in the feed of something else.
      if (id <= tab.last && kind !== "pool") continue;
      tab.last = Math.max(id, tab.last);
      if (!to.some((topic) => tab.topics.has(topic))) continue;
      tab.held.push({ id, data: e.data });
      if (tab.held.length === 1) tellSoon(tab);
    }
  };
  es.addEventListener("reset", (e: MessageEvent<string>) => {
    for (const tab of tabs.values()) {
      // It reads everything anew: what was held for it is in that.
      clearTimeout(tab.telling);
      tab.held = [];
      tab.last = Math.max(Number(e.lastEventId), tab.last);
      say(tab, { kind: "reset", id: tab.last });
    }
  });
  es.onerror = () => {
    if (source !== es) return;
    if (performance.now() - opened > HELD_MS) return open();
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
        drop(port);
        const joined: Tab = { port, topics: new Set(data.topics), last: data.last, heard: Date.now(), seen: true, held: [], told: -TELL_UNSEEN_MS, telling: undefined };
        tabs.set(port, joined);
        say(joined, { kind: state });
        open();
        break;
      }
      case "leave":
        drop(port);
        if (tabs.size === 0) open();
        break;
      case "seen":
        if (tab) {
          tab.seen = data.by;
          tellSoon(tab);
        }
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
  for (const [port, tab] of tabs) if (Date.now() - tab.heard > GONE_AFTER_MS) drop(port);
  if (tabs.size === 0 && source) open();
}, 30_000);
