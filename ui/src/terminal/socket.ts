// The connection with a shell. Messages to the worker begin with a byte: 1, and what was typed follows; 2, and the
// size follows, the width first, both with the low byte first. The other way come bytes as they are, and notes in JSON as
// messages of text. The page names its shell, so that it comes back to the same one when the connection broke.

export interface Hear {
  open: () => void;
  bytes: (b: Uint8Array) => void;
  resumed: () => void; // what was shown last comes again
  closed: (ended: boolean, reason: string) => void; // ended: the shell itself is over
}

export interface Note {
  shell?: "new" | "resumed" | "taken";
  size?: number;
  ready?: boolean;
  done?: number;
  error?: string;
}

/** The name of this tab's shell; a reload has the same one. */
export function nameOf(path: string, fresh: boolean): string {
  const key = "treeline-shell:" + path;
  let name = fresh ? null : sessionStorage.getItem(key);
  if (!name) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(key, name);
  }
  return name;
}

const PIECE = 16 * 1024; // bytes of one message of a long paste; workers take 32 KB

export class Shell {
  private socket: WebSocket | undefined;
  private size: [number, number] = [80, 24];
  private readonly address: URL;
  private readonly path: string;
  private readonly hear: Hear;
  taken = false; // another tab has the shell

  constructor(path: string, hear: Hear) {
    this.path = path;
    this.address = new URL(path, location.href);
    this.address.protocol = this.address.protocol.replace("http", "ws");
    this.hear = hear;
  }

  /** Connects with the shell of this tab, or with a fresh one. */
  connect(fresh = false): void {
    this.socket?.close();
    this.taken = false;
    this.address.searchParams.set("shell", nameOf(this.path, fresh));
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.resize(...this.size);
      this.hear.open();
    };
    socket.onmessage = (m: MessageEvent<ArrayBuffer | string>) => {
      if (typeof m.data !== "string") return this.hear.bytes(new Uint8Array(m.data));
      const note = JSON.parse(m.data) as Note;
      if (note.shell === "resumed") this.hear.resumed();
      if (note.shell === "taken") this.taken = true;
    };
    socket.onclose = (e) => {
      if (this.socket === socket) this.hear.closed(e.wasClean && e.code === 1000, e.reason);
    };
  }

  get open(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  private send(kind: number, body: Uint8Array): void {
    if (!this.open) return;
    const message = new Uint8Array(body.length + 1);
    message[0] = kind;
    message.set(body, 1);
    this.socket!.send(message);
  }

  type(text: string): void {
    this.raw(new TextEncoder().encode(text));
  }

  raw(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PIECE) this.send(1, bytes.subarray(at, at + PIECE));
  }

  resize(columns: number, rows: number): void {
    this.size = [columns, rows];
    const size = new DataView(new ArrayBuffer(4));
    size.setUint16(0, columns, true);
    size.setUint16(2, rows, true);
    this.send(2, new Uint8Array(size.buffer));
  }
}

/** Says how the connection is, offers a new shell when one has ended, and comes back to the same when it broke. */
export function keep(shell: () => Shell, say: (text: string) => void): Pick<Hear, "open" | "closed"> {
  const button = document.querySelector<HTMLButtonElement>("#reconnect");
  let tries = 0;
  let over = false;
  const again = (fresh: boolean): void => {
    if (button) button.hidden = true;
    say("connecting");
    shell().connect(fresh);
  };
  button?.addEventListener("click", () => {
    tries = 0;
    again(over);
  });
  return {
    open() {
      tries = 0;
      over = false;
      say("connected");
      document.body.dataset["shell"] = "connected";
    },
    closed(ended, reason) {
      document.body.dataset["shell"] = "closed";
      if (button) button.hidden = false;
      const offer = (text: string): void => {
        if (button) button.textContent = text;
      };
      offer("Connect again");
      if (shell().taken) return say("the shell is open in another tab");
      if (ended) {
        over = true;
        offer("New shell here");
        return say("ended");
      }
      if (reason || tries >= 6) return say("closed" + (reason ? ": " + reason : ": the server or the worker does not answer"));
      say("the connection broke; coming back to the shell");
      setTimeout(() => again(false), 500 * 2 ** tries++);
    },
  };
}
