// Tells a person once that a group has ended, by a notification of the browser.
import { signal } from "@preact/signals";
import { bootOf } from "../shell/data.ts";
import { toast } from "../shell/toast.tsx";
import type { Group } from "./data.ts";

const keyOf = (id: string): string => `treeline-tell-${id}`;

/** Whether the person is to be told. It holds for the tab, over reloads too. */
export const armed = signal(sessionStorage.getItem(keyOf(bootOf<Group>().data.id)) === "1");

/** Whether this browser has notifications: only pages from https or from this machine do. */
export const mayTell = (): boolean => "Notification" in window;

export async function arm(id: string, on: boolean): Promise<void> {
  if (on && Notification.permission !== "granted" && (await Notification.requestPermission()) !== "granted") {
    toast("The browser does not allow notifications of this page.", true);
    return;
  }
  if (on) sessionStorage.setItem(keyOf(id), "1");
  else sessionStorage.removeItem(keyOf(id));
  armed.value = on;
}

/** The last task of the group has ended. */
export function tell(g: Group): void {
  if (!armed.value) return;
  armed.value = false;
  sessionStorage.removeItem(keyOf(g.id));
  const failures = g.cells.filter((c) => c.state === "failed" || c.state === "exception").length;
  const body = failures === 0 ? `All ${g.cells.length.toLocaleString()} tasks have ended.` : `${failures.toLocaleString()} of ${g.cells.length.toLocaleString()} tasks failed.`;
  const n = new Notification(g.title, { body, tag: g.id });
  n.onclick = () => window.focus();
}
