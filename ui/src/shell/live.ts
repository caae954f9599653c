// The page's one stream of events. It resumes where it was after the connection was lost; when the
// server no longer has what was missed, it says "reset" and the page reads everything anew.
import { signal } from "@preact/signals";
import { bootOf, type Message } from "./data.ts";

export type Liveness = "connecting" | "live" | "catching" | "offline";

export const liveness = signal<Liveness>("connecting");

type Handler = (messages: Message[]) => void;

const handlers: Handler[] = [];
const RESET: Message = { kind: "reset" };

let source: EventSource | undefined;
let lastId = "";
let wait = 1000;
let waiting: Message[] = [];
let offline: ReturnType<typeof setTimeout> | undefined;

/** Calls f with what happened, gathered over a frame. */
export function onMessages(f: Handler): void {
  handlers.push(f);
}

function deliver(m: Message): void {
  if (waiting.push(m) > 1) return;
  // A timer and not a frame: hidden tabs have no frames, but their title must still move.
  setTimeout(() => {
    const list = waiting;
    waiting = [];
    for (const f of handlers) f(list);
  }, 30);
}

export function connect(): void {
  const base = bootOf().stream;
  if (base === "") return;
  open(base);
  addEventListener("online", () => retryNow(base));
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (e) => {
    if (e.persisted) open(base);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") setTimeout(() => void hide(), HIDE_AFTER_MS);
    else show(base);
  });
}

// Over HTTP/1.1 a browser opens six connections to a server. A stream holds one for good, so of the
// tabs that nobody looks at only some may keep theirs; the others catch up when they are looked at.
const HIDE_AFTER_MS = 3000;
const HIDDEN_STREAMS = 2;

let leave: (() => void) | undefined; // gives a hidden tab's place to another
let parked = false;

async function hide(): Promise<void> {
  if (document.visibilityState !== "hidden" || parked || leave) return;
  if (await takePlace()) return;
  if (document.visibilityState !== "hidden") return;
  parked = true;
  clearTimeout(offline);
  clearTimeout(retrying);
  source?.close();
  liveness.value = "catching";
}

function show(base: string): void {
  leave?.();
  leave = undefined;
  if (!parked) return;
  parked = false;
  open(base);
}

// takePlace takes one of the places for hidden tabs, until leave is called or the tab closed.
async function takePlace(): Promise<boolean> {
  // Only pages from https or from this machine have locks.
  if (!("locks" in navigator)) return false;
  for (let i = 0; i < HIDDEN_STREAMS; i++) {
    const taken = await new Promise<boolean>((answer) => {
      void navigator.locks.request(`treeline-hidden-stream-${i}`, { ifAvailable: true }, (lock) => {
        answer(lock !== null);
        return lock === null ? undefined : new Promise<void>((done) => (leave = done));
      });
    });
    if (taken) return true;
  }
  return false;
}

function open(base: string): void {
  const url = lastId === "" ? base : base.replace(/([?&]after=)\d+/, `$1${lastId}`);
  source?.close();
  const es = new EventSource(url);
  source = es;
  es.onopen = () => {
    clearTimeout(offline);
    offline = undefined;
    wait = 1000;
    liveness.value = "live";
  };
  es.onmessage = (e: MessageEvent<string>) => {
    if (e.lastEventId !== "") lastId = e.lastEventId;
    deliver(JSON.parse(e.data) as Message);
  };
  es.addEventListener("reset", (e) => {
    lastId = (e as MessageEvent<string>).lastEventId;
    deliver(RESET);
  });
  es.onerror = () => {
    if (source !== es) return;
    if (liveness.value === "live") liveness.value = "catching";
    offline ??= setTimeout(() => {
      liveness.value = "offline";
    }, 1500);
    if (es.readyState === EventSource.CLOSED) retry(base);
  };
}

let retrying: ReturnType<typeof setTimeout> | undefined;

function retry(base: string): void {
  clearTimeout(retrying);
  retrying = setTimeout(() => open(base), wait);
  wait = Math.min(15_000, wait * 2);
}

function retryNow(base: string): void {
  if (!parked && liveness.value !== "live") {
    wait = 1000;
    open(base);
  }
}

/** Shows the state of the stream in the header. */
export function showLiveness(): void {
  const box = document.getElementById("live");
  if (!box) return;
  const words: Record<Liveness, string> = { connecting: "connecting", live: "live", catching: "catching up", offline: "offline" };
  let since = "";
  liveness.subscribe((now) => {
    if (now === "offline") since = since || new Date().toLocaleTimeString(undefined, { timeStyle: "short" });
    else since = "";
    box.dataset["live"] = now;
    box.querySelector("span")!.textContent = now === "offline" ? `offline since ${since}` : words[now];
    box.hidden = bootOf().stream === "";
  });
}
