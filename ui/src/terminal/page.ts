// The page of a shell: who is here and how long it lasts. The terminal is a script of its own; without it the page
// has line mode, where a line is sent at a time.
import { get } from "../shell/api.ts";
import { onMessages } from "../shell/live.ts";
import { bootOf } from "../shell/data.ts";
import { files } from "./files.ts";
import { keep, Shell } from "./socket.ts";

export interface State {
  task: string;
  name: string;
  run: number;
  stage: "waiting" | "ready" | "ended" | "never";
  text: string;
  until: number;
  people: { who: string; since: string }[];
  shell: string;
}

const KEPT = 200_000; // characters that are shown
const SCREENS = /^\s*(sudo\s+)?(vi|vim|nano|emacs|less|more|top|htop|man|tmux|screen)\b/;
// Colours, moves of the cursor and titles: lines cannot show them.
const CONTROL = /\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78cDEHM])/g;

/** Takes what lines cannot show out of a piece of output; what an escape at its end lacks comes with the next. */
export function plain(text: string): { shown: string; rest: string } {
  const cut = /\x1b[^\x1b]{0,40}$/.exec(text);
  let rest = "";
  if (cut && !CONTROL.test(cut[0])) {
    rest = cut[0];
    text = text.slice(0, cut.index);
  }
  CONTROL.lastIndex = 0;
  return { shown: text.replace(CONTROL, "").replace(/\r\n/g, "\n").replace(/\r/g, "\n").replace(/[\x00-\x08\x0b-\x1a]/g, ""), rest };
}

function lines(place: HTMLElement): void {
  if (document.body.dataset["terminal"]) return;
  document.body.dataset["terminal"] = "line";
  const state = document.getElementById("state")!;
  const out = document.createElement("pre");
  out.className = "line-out";
  out.tabIndex = 0;
  out.setAttribute("role", "log");
  out.setAttribute("aria-label", "Output");
  const form = document.createElement("form");
  form.className = "line-in";
  const input = document.createElement("input");
  input.className = "input mono";
  input.setAttribute("aria-label", "Command");
  input.autocomplete = "off";
  input.spellcheck = false;
  const send = document.createElement("button");
  send.className = "button primary";
  send.textContent = "Send";
  form.append(input, send);
  place.replaceChildren(out, form);
  const say = (text: string): void => {
    out.append(text);
    if (out.textContent!.length > KEPT) out.textContent = out.textContent!.slice(-KEPT / 2);
    out.scrollTop = out.scrollHeight;
  };
  let decode = new TextDecoder();
  let rest = "";
  let shell: Shell;
  const life = keep(
    () => shell,
    (text) => (state.textContent = text),
  );
  shell = new Shell(place.dataset["socket"]!, {
    open() {
      decode = new TextDecoder();
      shell.resize(200, 50);
      life.open();
    },
    bytes(b) {
      const piece = plain(rest + decode.decode(b, { stream: true }));
      rest = piece.rest;
      say(piece.shown);
    },
    resumed() {
      decode = new TextDecoder();
      rest = "";
      out.textContent = "";
    },
    closed: life.closed,
  });
  shell.connect();
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const line = input.value;
    input.value = "";
    if (SCREENS.test(line)) {
      say(`\n[${line.trim().split(/\s+/)[0]} draws on a whole screen, which line mode cannot show. Use the terminal, or cat, head, sed and grep.]\n`);
      return;
    }
    shell.type(line + "\n");
  });
  input.focus();
  (globalThis as { treelineLine?: unknown }).treelineLine = { shell, out }; // for tests
}

export function start(): void {
  const place = document.getElementById("terminal")!;
  const script = document.getElementById("terminal-script");
  if (!script) lines(place);
  else script.addEventListener("error", () => lines(place));
  files(place.dataset["socket"]!);
  let state = bootOf().data as State;
  const left = document.getElementById("left")!;
  const who = document.getElementById("who")!;
  const draw = (): void => {
    const minutes = Math.round((state.until - Date.now()) / 60_000);
    left.textContent = state.until > 0 && state.stage !== "ended" ? (minutes > 1 ? `${minutes} minutes left` : "less than two minutes left") : "";
    who.textContent = state.people.length > 0 ? "here: " + state.people.map((p) => p.who).join(", ") : "";
  };
  const renew = async (): Promise<void> => {
    try {
      state = await get<State>(`/ui/api/connect/${state.task}`);
      draw();
      if (state.stage === "ended") document.getElementById("state")!.textContent = state.text;
    } catch {
      // the state of the connection says it
    }
  };
  draw();
  onMessages(() => void renew());
  setInterval(() => void renew(), 15_000);
  setTimeout(() => void renew(), 1500);
}
