// The first page: what this browser looked at lately, and a word from the browser when a push of one's own fails.
import { bootOf } from "../shell/data.ts";
import { onMessages } from "../shell/live.ts";
import { start as outline } from "../shell/outline.ts";
import { visited } from "../shell/visited.ts";

const RECENT = 8;

function recent(): void {
  const box = document.getElementById("recent");
  const list = visited().slice(0, RECENT);
  if (!box || list.length === 0) return;
  box.querySelector("ul")!.replaceChildren(
    ...list.map((p) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = p.path;
      link.textContent = p.title;
      item.append(link);
      return item;
    }),
  );
  box.hidden = false;
}

export function start(root: HTMLElement): void {
  outline(root);
  recent();
  // The page is renewed from the server, which knows nothing of what was looked at.
  new MutationObserver(() => {
    if (document.getElementById("recent")?.hidden) recent();
  }).observe(root, { childList: true, subtree: true });
  const { notify } = (bootOf().data ?? {}) as { notify?: boolean };
  if (!notify || !("Notification" in window)) return;
  const told = new Set([...root.querySelectorAll<HTMLAnchorElement>("#failing a.line")].map((a) => a.href));
  onMessages(() => {
    setTimeout(() => {
      for (const a of document.querySelectorAll<HTMLAnchorElement>("#failing a.line")) {
        if (told.has(a.href)) continue;
        told.add(a.href);
        if (document.visibilityState === "hidden" && Notification.permission === "granted") {
          new Notification("A task of yours fails", { body: a.textContent ?? "", tag: a.href });
        }
      }
    }, 2000); // until the page is renewed
  });
}
