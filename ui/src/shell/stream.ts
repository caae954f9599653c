// What a tab and the worker with the stream say to each other.

export type ToWorker =
  | { kind: "join"; topics: string[]; last: number }
  | { kind: "leave" }
  | { kind: "retry" }
  | { kind: "here" };

export type FromWorker = { kind: "message" | "reset"; id: number; data: string } | { kind: "open" | "broken" };

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
  };
}

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
    es.onopen = () => {
      wait = 1000;
      hear({ kind: "open" });
    };
    const pass = (kind: "message" | "reset") => (e: MessageEvent<string>) => {
      at = Number(e.lastEventId);
      hear({ kind, id: at, data: e.data });
    };
    es.onmessage = pass("message");
    es.addEventListener("reset", pass("reset"));
    es.onerror = () => {
      if (source !== es) return;
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
  };
}
