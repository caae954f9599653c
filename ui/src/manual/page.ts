// Pages of the documentation: code can be copied, the list of pages shows where one is.
import { toast } from "../shell/toast.tsx";

// What one would type: of a block with prompts only the lines that have one.
export function typed(code: string): string {
  const lines = code.replace(/\n$/, "").split("\n");
  const commands = lines.filter((l) => l.startsWith("$ ")).map((l) => l.slice(2));
  return commands.length > 0 ? commands.join("\n") : lines.join("\n");
}

function copies(root: HTMLElement): void {
  if (!("clipboard" in navigator)) return;
  for (const pre of root.querySelectorAll<HTMLElement>("pre.code")) {
    const box = document.createElement("div");
    box.className = "manual-code";
    pre.replaceWith(box);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Copy";
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(typed(pre.textContent ?? "")).then(
        () => toast("Copied."),
        () => toast("The browser does not let this page copy.", true),
      );
    });
    box.append(pre, button);
  }
}

export function start(root: HTMLElement): void {
  copies(root);
  const nav = root.querySelector<HTMLElement>("#manual-nav");
  const here = nav?.querySelector<HTMLElement>("li a[aria-current]");
  if (nav && here) nav.scrollTop = here.offsetTop - nav.offsetTop - nav.clientHeight / 2;
}
