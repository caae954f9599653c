// A form that starts something starts it once: its button rests until the next page is there.
export function start(): void {
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-once]")) {
    form.addEventListener("submit", (e) => {
      if (form.dataset["sent"]) {
        e.preventDefault();
        return;
      }
      const by = (e as SubmitEvent).submitter;
      if (by?.getAttribute("name") !== "more") form.dataset["sent"] = "true";
    });
    addEventListener("pageshow", () => delete form.dataset["sent"]);
    form.querySelector<HTMLElement>("#faults, .faulty .input")?.focus();
  }
}
