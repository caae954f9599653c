// The page of an interactive shell: a terminal on a WebSocket. Messages to the worker begin with a byte: 1, and
// what was typed follows; 2, and the size follows.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import css from "@xterm/xterm/css/xterm.css";

const place = document.getElementById("terminal");
const state = document.getElementById("state");

function say(text: string): void {
  if (state) state.textContent = text;
}

function open(place: HTMLElement): void {
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const terminal = new Terminal({ cursorBlink: true, scrollback: 10000, screenReaderMode: true });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();

  const address = new URL(place.dataset.socket ?? "", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const send = (kind: number, body: Uint8Array): void => {
    if (socket.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(body.length + 1);
    message[0] = kind;
    message.set(body, 1);
    socket.send(message);
  };
  const resize = (): void => {
    const size = new DataView(new ArrayBuffer(4));
    size.setUint16(0, terminal.cols, true);
    size.setUint16(2, terminal.rows, true);
    send(2, new Uint8Array(size.buffer));
  };
  socket.onopen = () => {
    say("connected");
    resize();
    terminal.focus();
  };
  socket.onmessage = (m: MessageEvent<ArrayBuffer>) => terminal.write(new Uint8Array(m.data));
  socket.onclose = (e) => say(e.wasClean && e.code === 1000 ? "ended" : `closed${e.reason ? `: ${e.reason}` : ""}`);
  const text = new TextEncoder();
  terminal.onData((typed) => send(1, text.encode(typed)));
  terminal.onBinary((typed) => send(1, Uint8Array.from(typed, (c) => c.charCodeAt(0))));
  terminal.onResize(resize);
  new ResizeObserver(() => fit.fit()).observe(place);
}

if (place) open(place);
document.body.dataset.ready = "true";
