// Buttons that copy what stands on the page.
import { toast } from "../shell/toast.tsx";

export function start(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const text = document.getElementById(button.dataset["copy"]!)?.textContent ?? "";
      navigator.clipboard.writeText(text).then(
        () => toast("Copied."),
        () => toast("The browser does not let this page copy.", true),
      );
    });
  }
}
