// The page of a hook: the form that fires it, and fires as they come.
import { start as form } from "../shell/form.ts";
import { start as fresh } from "../shell/outline.ts";
import { bind } from "../shell/keys.tsx";

export function start(root: HTMLElement): void {
  form();
  fresh(root);
  const step = (by: number) => () => {
    const links = [...document.querySelectorAll<HTMLAnchorElement>("#fires tbody a")];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
  };
  bind("Hook", "j", "next fire", step(1));
  bind("Hook", "k", "previous fire", step(-1));
  addEventListener("keydown", (e) => {
    const button = document.querySelector<HTMLButtonElement>("#fire");
    if ((e.ctrlKey || e.metaKey) && e.key === "Enter" && button && !button.disabled) {
      e.preventDefault();
      button.click();
    }
  });
}
