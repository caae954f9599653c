// Several tabs have one session: when somebody signs in or out in one of them, the others show what another person may see.
import { bootOf } from "./data.ts";
import { toast } from "./toast.tsx";

const CHANNEL = "treeline-whose";

/** Says so when another tab of this browser is loaded for somebody else; once it can be seen. */
export function watchSession(): void {
  if (!("BroadcastChannel" in window)) return;
  const mine = bootOf().user;
  let theirs = mine;
  const tell = () => {
    if (theirs === mine || document.hidden) return;
    const what = theirs === "" ? "You signed out in another tab." : `You signed in as ${theirs} in another tab.`;
    toast(what, false, { text: "Reload", run: () => location.reload() });
  };
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", (e: MessageEvent<unknown>) => {
    if (typeof e.data !== "string") return;
    theirs = e.data;
    tell();
  });
  addEventListener("visibilitychange", tell);
  // For an error the server may not have looked who it is; it has where it knows a name, or that signing in may help.
  const looked = document.body.dataset["page"] !== "error" || mine !== "" || document.querySelector(".error-page .button.primary") !== null;
  if (looked) channel.postMessage(mine);
}
