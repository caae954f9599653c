// The browser of the index: arrows move through its columns, y copies the link to the latest.
import { bind } from "../shell/keys.tsx";
import { toast } from "../shell/toast.tsx";

async function copy(path: string): Promise<void> {
  const address = location.origin + path;
  try {
    await navigator.clipboard.writeText(address);
    toast(`Copied ${address}`);
  } catch {
    toast(`The browser does not let a page copy here: ${address}`, true);
  }
}

export function start(root: HTMLElement): void {
  const latest = root.querySelector<HTMLElement>("[data-copy]");
  if (latest) {
    bind("Index", "y", "copy the link to the latest", () => void copy(latest.dataset["copy"]!));
    return;
  }
  const columns = [...root.querySelectorAll<HTMLElement>(".index-column")];
  root.querySelector(".index-columns")?.scrollTo({ left: 1e6 });
  const links = (c: HTMLElement | undefined): HTMLAnchorElement[] => [...(c?.querySelectorAll("a") ?? [])];
  const here = (): [number, number] => {
    const at = columns.findIndex((c) => c.contains(document.activeElement));
    return [at, links(columns[at]).indexOf(document.activeElement as HTMLAnchorElement)];
  };
  const move = (step: number) => () => {
    const [at, row] = here();
    const list = links(columns[at < 0 ? columns.length - 1 : at]);
    list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : row + step))]?.focus();
  };
  const side = (step: number) => () => {
    const [at, row] = here();
    if (step > 0 && at >= 0 && row >= 0) {
      const link = links(columns[at])[row]!;
      if (at === columns.length - 1 || !link.hasAttribute("aria-current")) return location.assign(link.href);
    }
    const next = columns[Math.max(0, Math.min(columns.length - 1, (at < 0 ? columns.length - 1 : at) + step))];
    (next?.querySelector<HTMLElement>("[aria-current]") ?? links(next)[0])?.focus();
  };
  bind("Index", "arrowdown j", "next name", move(1));
  bind("Index", "arrowup k", "name before", move(-1));
  bind("Index", "arrowright l", "into the namespace", side(1));
  bind("Index", "arrowleft", "column before", side(-1));
}
