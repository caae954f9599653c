// Files that are brought into a task and taken from it, each through a connection of its own beside the shell's.
import type { Note } from "./socket.ts";

const PIECE = 16 * 1024; // bytes of one message; workers take 32 KB
const AHEAD = 1024 * 1024; // bytes that wait to be sent at most

/** Opens a connection for a file. */
function open(socket: string, ask: Record<string, string>): WebSocket {
  const url = new URL(socket, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  for (const [k, v] of Object.entries(ask)) url.searchParams.set(k, v);
  const s = new WebSocket(url);
  s.binaryType = "arraybuffer";
  return s;
}

/** Brings a file into the task, at a path as a shell of it would take it. */
export function put(socket: string, file: File, path: string, progress: (sent: number) => void): Promise<number> {
  return new Promise((done, fail) => {
    const s = open(socket, { file: "put", path, size: String(file.size) });
    const send = async (): Promise<void> => {
      for (let at = 0; at < file.size && s.readyState === WebSocket.OPEN; at += PIECE) {
        while (s.bufferedAmount > AHEAD && s.readyState === WebSocket.OPEN) await new Promise((go) => setTimeout(go, 20));
        s.send(await file.slice(at, at + PIECE).arrayBuffer());
        progress(Math.min(at + PIECE, file.size));
      }
    };
    s.onmessage = (m: MessageEvent<string>) => {
      const note = JSON.parse(m.data) as Note;
      if (note.error) fail(new Error(note.error));
      if (note.done !== undefined) done(note.done);
      if (note.ready) send().catch(fail);
    };
    s.onclose = () => fail(new Error("the connection ended before the file was there"));
  });
}

/** Takes a file from the task. */
export function get(socket: string, path: string, progress: (came: number, of: number) => void): Promise<Blob> {
  return new Promise((done, fail) => {
    const s = open(socket, { file: "get", path });
    const parts: ArrayBuffer[] = [];
    let came = 0;
    let size = 0;
    s.onmessage = (m: MessageEvent<ArrayBuffer | string>) => {
      if (typeof m.data !== "string") {
        parts.push(m.data);
        progress((came += m.data.byteLength), size);
        return;
      }
      const note = JSON.parse(m.data) as Note;
      if (note.error) fail(new Error(note.error));
      if (note.size !== undefined) size = note.size;
      if (note.done !== undefined) done(new Blob(parts));
    };
    s.onclose = () => fail(new Error("the connection ended before the file was there"));
  });
}

const share = (n: number, of: number): string => (of > 0 ? `${Math.floor((100 * n) / of)} %` : "");

/** Binds the forms of the page. */
export function files(socket: string): void {
  const box = document.querySelector<HTMLElement>("#files");
  if (!box) return;
  box.hidden = false;
  const said = box.querySelector<HTMLElement>("#file-said")!;
  const say = (text: string, bad = false): void => {
    said.textContent = text;
    said.classList.toggle("why", bad);
  };
  const busy = async (form: HTMLFormElement, work: () => Promise<string>): Promise<void> => {
    const button = form.querySelector("button")!;
    button.disabled = true;
    try {
      say(await work());
    } catch (e) {
      say(e instanceof Error ? e.message : String(e), true);
    }
    button.disabled = false;
  };
  const putForm = box.querySelector<HTMLFormElement>("#put")!;
  putForm.addEventListener("submit", (e) => {
    e.preventDefault();
    const file = putForm.querySelector<HTMLInputElement>("[name=file]")!.files?.[0];
    if (!file) return say("Choose a file first.", true);
    const path = putForm.querySelector<HTMLInputElement>("[name=path]")!.value.trim() || file.name;
    void busy(putForm, async () => {
      const n = await put(socket, file, path, (sent) => say(`${path}: ${share(sent, file.size)}`));
      return `${path} is there, ${n.toLocaleString()} bytes.`;
    });
  });
  const getForm = box.querySelector<HTMLFormElement>("#get")!;
  getForm.addEventListener("submit", (e) => {
    e.preventDefault();
    const path = getForm.querySelector<HTMLInputElement>("[name=path]")!.value.trim();
    if (!path) return say("Say which file.", true);
    void busy(getForm, async () => {
      const blob = await get(socket, path, (came, of) => say(`${path}: ${share(came, of)}`));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = path.split("/").pop()!;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      return `${path}: ${blob.size.toLocaleString()} bytes came.`;
    });
  });
}
