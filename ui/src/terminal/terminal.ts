// The terminal of a shell: a part of its own, with its library and its style sheet. Without it the page has line mode.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import css from "@xterm/xterm/css/xterm.css";
import { keep, Shell } from "./socket.ts";

const place = document.getElementById("terminal");
const READER = "treeline-screen-reader";

function open(place: HTMLElement): void {
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const state = document.getElementById("state")!;
  const terminal = new Terminal({ cursorBlink: true, scrollback: 10_000, screenReaderMode: localStorage.getItem(READER) === "on" });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  let shell: Shell;
  const life = keep(
    () => shell,
    (text) => (state.textContent = text),
  );
  shell = new Shell(place.dataset["socket"]!, {
    open() {
      shell.resize(terminal.cols, terminal.rows);
      life.open();
      terminal.focus();
    },
    bytes: (b) => terminal.write(b),
    resumed: () => terminal.reset(),
    closed: life.closed,
  });
  shell.connect();
  terminal.onData((typed) => shell.type(typed));
  terminal.onBinary((typed) => shell.raw(Uint8Array.from(typed, (c) => c.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => shell.resize(cols, rows));
  new ResizeObserver(() => fit.fit()).observe(place);
  const reader = document.querySelector<HTMLButtonElement>("#reader")!;
  const show = (): void => reader.setAttribute("aria-pressed", String(terminal.options.screenReaderMode));
  reader.hidden = false;
  show();
  reader.addEventListener("click", () => {
    terminal.options.screenReaderMode = !terminal.options.screenReaderMode;
    localStorage.setItem(READER, terminal.options.screenReaderMode ? "on" : "off");
    show();
    terminal.focus();
  });
  const copy = document.querySelector<HTMLButtonElement>("#copy")!;
  copy.hidden = false;
  copy.addEventListener("click", () => {
    if (!terminal.hasSelection()) terminal.selectAll();
    void navigator.clipboard.writeText(terminal.getSelection()).then(() => terminal.clearSelection());
  });
  terminal.attachCustomKeyEventHandler((e) => {
    if (!(e.ctrlKey && e.shiftKey && e.code === "Backquote")) return true;
    if (e.type === "keydown") {
      e.preventDefault();
      reader.focus();
    }
    return false;
  });
  (globalThis as { treelineShell?: unknown }).treelineShell = { terminal, shell }; // for tests
}

if (place) open(place);
document.body.dataset["terminal"] = "island";
