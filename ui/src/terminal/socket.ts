// The connection with a shell. Messages to the worker begin with a byte: 1, and what was typed follows; 2, and the
// size follows, the width first, both with the low byte first. The other way come bytes as they are.

export interface Hear {
  open: () => void;
  bytes: (b: Uint8Array) => void;
  closed: (ended: boolean, reason: string) => void; // ended: the shell itself is over
}

const PIECE = 16 * 1024; // bytes of one message of a long paste; workers take 32 KB

export class Shell {
  private socket: WebSocket | undefined;
  private size: [number, number] = [80, 24];
  private readonly address: URL;
  private readonly hear: Hear;

  constructor(path: string, hear: Hear) {
    this.address = new URL(path, location.href);
    this.address.protocol = this.address.protocol.replace("http", "ws");
    this.hear = hear;
  }

  connect(): void {
    this.socket?.close();
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.resize(...this.size);
      this.hear.open();
    };
    socket.onmessage = (m: MessageEvent<ArrayBuffer>) => this.hear.bytes(new Uint8Array(m.data));
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

/** Says how the connection is, offers a new shell when one has ended, and connects again when it broke. */
export function keep(shell: () => Shell, say: (text: string) => void): Pick<Hear, "open" | "closed"> {
  const button = document.querySelector<HTMLButtonElement>("#reconnect");
  let tries = 0;
  const again = (): void => {
    if (button) button.hidden = true;
    say("connecting");
    shell().connect();
  };
  button?.addEventListener("click", () => {
    tries = 0;
    again();
  });
  return {
    open() {
      tries = 0;
      say("connected");
      document.body.dataset["shell"] = "connected";
    },
    closed(ended, reason) {
      document.body.dataset["shell"] = "closed";
      if (button) button.hidden = false;
      if (ended) return say("ended");
      if (reason || tries >= 5) return say("closed" + (reason ? ": " + reason : ": the server or the worker does not answer"));
      say("the connection broke; a new shell is opened");
      setTimeout(again, 500 * 2 ** tries++);
    },
  };
}
