// The profile: the browser is asked for leave to notify when somebody wants it.
export function start(root: HTMLElement): void {
  const box = root.querySelector<HTMLInputElement>("#notify");
  box?.addEventListener("change", () => {
    if (box.checked && "Notification" in window && Notification.permission === "default") void Notification.requestPermission();
  });
}
