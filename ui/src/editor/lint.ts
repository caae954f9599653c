// Asks the server what is wrong with a text: some time after the last letter, and only the newest text counts.
import { bootOf } from "../shell/data.ts";
import { Refused } from "../shell/api.ts";

const PAUSE_MS = 300;

export class Lint<T> {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private under: AbortController | undefined;
  private readonly ask: () => { path: string; form: URLSearchParams };
  private readonly told: (answer: T) => void;
  private readonly failed: (message: string) => void;
  asked = 0; // for tests
  aborted = 0;

  constructor(ask: () => { path: string; form: URLSearchParams }, told: (answer: T) => void, failed: (message: string) => void) {
    this.ask = ask;
    this.told = told;
    this.failed = failed;
  }

  /** Asks soon; what was asked before is of no interest any more. */
  soon(pause = PAUSE_MS): void {
    clearTimeout(this.timer);
    if (this.under) {
      this.under.abort();
      this.under = undefined;
      this.aborted++;
    }
    this.timer = setTimeout(() => void this.now(), pause);
  }

  private async now(): Promise<void> {
    const control = new AbortController();
    this.under = control;
    this.asked++;
    const { path, form } = this.ask();
    try {
      const response = await fetch(path, { method: "POST", headers: { Accept: "application/json", "X-CSRF": bootOf().csrf }, body: form, signal: control.signal });
      const body = (await response.json()) as T & { message?: string };
      if (this.under !== control) return;
      this.under = undefined;
      if (!response.ok) throw new Refused(response.status, body.message ?? `The server answered ${response.status}.`);
      this.told(body);
    } catch (error) {
      if (control.signal.aborted) return;
      this.under = undefined;
      this.failed(error instanceof Refused ? error.message : "The server cannot be reached: the text is kept here.");
    }
  }
}
