// What a tab and the worker with the stream say to each other.

export type ToWorker =
  | { kind: "join"; topics: string[]; last: number }
  | { kind: "leave" }
  | { kind: "retry" }
  | { kind: "seen"; by: boolean } // whether somebody looks at the tab
  | { kind: "here" };

/** Messages come several at once, with their positions in the feed; data is their list as JSON. */
export type FromWorker = { kind: "messages"; ids: number[]; data: string } | { kind: "reset"; id: number } | { kind: "open" | "broken" };

/** The address of a stream of topics from a position on. One that would be too long for servers in between asks for all. */
export function addressOf(topics: Iterable<string>, after: number): string {
  const query = [...topics].map((t) => t.slice(0, t.indexOf("=") + 1) + encodeURIComponent(t.slice(t.indexOf("=") + 1))).join("&");
  return `/ui/api/stream?after=${after}&${query.length > 6000 ? "all=1" : query}`;
}

/** A stream of a tab: the worker's share of it, or its own where browsers have no shared workers. */
export interface Stream {
  join(topics: string[], last: number): void;
  leave(): void;
  retry(): void;
  /** Says whether somebody looks at the tab: one that nobody sees is told less often. */
  seen(by: boolean): void;
}

/** The stream by the worker of all tabs. */
export function shared(script: string, hear: (m: FromWorker) => void): Stream {
  const { port } = new SharedWorker(script, { type: "module", name: "treeline" });
  const say = (m: ToWorker): void => port.postMessage(m);
  port.onmessage = (e: MessageEvent<FromWorker>) => hear(e.data);
  port.start();
  setInterval(() => say({ kind: "here" }), 30_000);
  return {
    join: (topics, last) => say({ kind: "join", topics, last }),
    leave: () => say({ kind: "leave" }),
    retry: () => say({ kind: "retry" }),
    seen: (by) => say({ kind: "seen", by }),
  };
}

/**
 * The server cuts each stream now and then, to look anew who reads it. One that has held for so many milliseconds is opened
 * again at once, and nobody is told unless that fails.
 */
export const HELD_MS = 10_000;

/** A stream of this tab alone. */
export function alone(hear: (m: FromWorker) => void): Stream {
  let source: EventSource | undefined;
  let retrying: ReturnType<typeof setTimeout> | undefined;
  let wait = 1000;
  let want: string[] = [];
  let at = 0;
  const open = (): void => {
    clearTimeout(retrying);
    source?.close();
    const es = new EventSource(addressOf(want, at));
    source = es;
    let opened = Infinity;
    es.onopen = () => {
      wait = 1000;
      opened = performance.now();
      hear({ kind: "open" });
    };
    es.onmessage = (e: MessageEvent<string>) => {
      at = Number(e.lastEventId);
      hear({ kind: "messages", ids: [at], data: `[${e.data}]` });
    };
    es.addEventListener("reset", (e: MessageEvent<string>) => {
      at = Number(e.lastEventId);
      hear({ kind: "reset", id: at });
    });
    es.onerror = () => {
      if (source !== es) return;
      if (performance.now() - opened > HELD_MS) return open();
      hear({ kind: "broken" });
      es.close();
      retrying = setTimeout(open, wait);
      wait = Math.min(15_000, wait * 2);
    };
  };
  return {
    join(topics, last) {
      want = topics;
      at = last;
      open();
    },
    leave() {
      clearTimeout(retrying);
      source?.close();
      source = undefined;
    },
    retry() {
      wait = 1000;
      if (want.length > 0) open();
    },
    seen() {},
  };
}
