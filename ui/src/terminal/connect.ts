// The way to a shell: it moves by itself, and says so when nobody looks.
import { get } from "../shell/api.ts";
import { bootOf } from "../shell/data.ts";
import { onMessages } from "../shell/live.ts";
import type { State } from "./page.ts";

const TELL = "treeline-tell-ready";
const POLL_MS = 5_000;

export function start(root: HTMLElement): void {
  let state = bootOf().data as State;
  const title = document.title;
  const tell = document.querySelector<HTMLInputElement>("#tell")!;
  document.querySelector<HTMLElement>("#tell-row")!.hidden = state.stage !== "waiting" || !("Notification" in globalThis);
  tell.checked = localStorage.getItem(TELL) === "on" && Notification.permission === "granted";
  tell.addEventListener("change", () => {
    localStorage.setItem(TELL, tell.checked ? "on" : "off");
    if (tell.checked)
      void Notification.requestPermission().then((answer) => {
        if (answer !== "granted") tell.checked = false;
      });
  });
  const renew = async (): Promise<void> => {
    let fresh: State;
    try {
      fresh = await get<State>(`/ui/api/connect/${state.task}`);
    } catch {
      return; // the header says when the server is away
    }
    const before = state;
    state = fresh;
    document.querySelector("#stage-text")!.textContent = state.text;
    if (before.stage === state.stage) return;
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const card = page.querySelector("#connect-state");
    if (card) root.querySelector("#connect-state")!.replaceWith(card);
    if (state.stage === "ready") {
      document.title = "✓ Ready: " + title;
      if (document.hidden && tell.checked && Notification.permission === "granted") {
        const note = new Notification("A shell is ready", { body: state.name, tag: state.task });
        note.onclick = () => window.focus();
      }
    } else document.title = title;
  };
  onMessages(() => void renew());
  setInterval(() => {
    if (state.stage === "waiting") void renew();
  }, POLL_MS);
}
