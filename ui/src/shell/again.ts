// Signing in again, in a window of its own: what somebody typed waits in this one.

const channel = "treeline-sign-in";

/** Calls back each time somebody has signed in again in another window of this browser; what it returns ends that. */
function onSignedIn(told: () => void): () => void {
  const news = new BroadcastChannel(channel);
  news.onmessage = told;
  return () => news.close();
}

let open: Promise<boolean> | undefined;

/** Asks to sign in again, once for all that wait for it; true: it is to be tried once more. */
export function signInAgain(message: string): Promise<boolean> {
  open ??= ask(message).finally(() => (open = undefined));
  return open;
}

function ask(message: string): Promise<boolean> {
  const dialog = document.createElement("dialog");
  dialog.id = "again-dialog";
  dialog.setAttribute("aria-labelledby", "again-head");
  dialog.innerHTML = `<header><h2 id="again-head">Sign in again</h2></header><form method="dialog" class="body stack"><p></p>
    <p>Nothing was changed yet. What you typed stays here: sign in again in a window of its own, then come back and send it once more.</p><p class="muted" role="status"></p>
    <p class="row"><a class="button primary" id="sign-in-again" href="/login/again?next=%2Flogin%2Fagain%2Fdone" target="_blank">Sign in again</a>
    <button class="button" id="send-again" value="yes">Send once more</button><button class="button quiet" value="">Cancel</button></p></form>`;
  dialog.querySelector("form > p")!.textContent = message;
  document.body.append(dialog);
  const from = document.activeElement;
  const end = onSignedIn(() => said(dialog));
  dialog.showModal();
  dialog.querySelector<HTMLElement>("#sign-in-again")!.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      end();
      dialog.remove();
      if (from instanceof HTMLElement) from.focus();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** Somebody has signed in: the next step is the one that was asked for. */
function said(root: HTMLElement): void {
  root.querySelector("[role=status]")!.textContent = "You have signed in again.";
  root.querySelector("#sign-in-again")!.classList.remove("primary");
  const send = root.querySelector<HTMLElement>("#send-again")!;
  send.classList.add("primary");
  send.focus();
}

export function start(root: HTMLElement): void {
  if (root.querySelector("#send-again")) {
    onSignedIn(() => said(root));
  } else if (root.querySelector("#again-done[data-fresh=true]")) {
    new BroadcastChannel(channel).postMessage("");
  }
}
