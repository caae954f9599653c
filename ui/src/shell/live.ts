// What happens while a page is open. The stream resumes where it was after the connection was lost; when the server no
// longer has what was missed, it says "reset" and the page reads everything anew.
import { signal } from "@preact/signals";
import { bootOf, type Message } from "./data.ts";
import { alone, shared, type FromWorker } from "./stream.ts";

export type Liveness = "connecting" | "live" | "catching" | "offline";

export const liveness = signal<Liveness>("connecting");

type Handler = (messages: Message[]) => void;

const handlers: Handler[] = [];
const RESET: Message = { kind: "reset", to: [] };

// A tab that nobody has looked at for so long lets go of the stream, and catches up when it is looked at.
const LEAVE_AFTER_MS = 30 * 60_000;

let topics: string[] = [];
let last = 0;
let parked = false;
let waiting: Message[] = [];
let offline: ReturnType<typeof setTimeout> | undefined;

/** Calls f with what happened, gathered for some milliseconds. */
export function onMessages(f: Handler): void {
  handlers.push(f);
}

function deliver(list: Message[]): void {
  const first = waiting.length === 0 && list.length > 0;
  waiting = waiting.concat(list);
  if (!first) return;
  // A timer and not a frame: hidden tabs have no frames, but their title must still move.
  setTimeout(() => {
    const list = waiting;
    waiting = [];
    for (const f of handlers) f(list);
  }, 30);
}

function hear(m: FromWorker): void {
  if (parked) return;
  switch (m.kind) {
    case "open":
      clearTimeout(offline);
      offline = undefined;
      liveness.value = "live";
      break;
    case "broken":
      if (liveness.value === "live") liveness.value = "catching";
      offline ??= setTimeout(() => {
        liveness.value = "offline";
      }, 1500);
      break;
    case "reset":
      last = m.id;
      deliver([RESET]);
      break;
    case "messages": {
      const before = last;
      last = Math.max(last, m.ids.at(-1)!);
      // What is said of pools has the place in the feed of something else. Other tabs have their topics on the same stream.
      deliver((JSON.parse(m.data) as Message[]).filter((x, i) => (m.ids[i]! > before || x.kind === "pool") && x.to.some((topic) => topics.includes(topic))));
    }
  }
}

export function connect(): void {
  const { stream: address, worker } = bootOf();
  if (address === "") return;
  const query = new URLSearchParams(address.slice(address.indexOf("?")));
  last = Number(query.get("after"));
  query.delete("after");
  topics = [...query].map(([key, value]) => `${key}=${value}`);
  const stream = worker !== "" && "SharedWorker" in window ? shared(worker, hear) : alone(hear);
  const leave = (): void => {
    parked = true;
    clearTimeout(offline);
    offline = undefined;
    stream.leave();
    liveness.value = "catching";
  };
  const join = (): void => {
    parked = false;
    stream.join(topics, last);
    stream.seen(document.visibilityState !== "hidden");
  };
  join();
  addEventListener("online", stream.retry);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (e) => {
    if (e.persisted) join();
  });
  let leaving: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    const hidden = document.visibilityState === "hidden";
    stream.seen(!hidden);
    if (hidden) leaving = setTimeout(leave, LEAVE_AFTER_MS);
    else if (parked) join();
  });
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
