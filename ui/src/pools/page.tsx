// Pools, queues and workers: pages that the server draws, kept fresh part by part, with a table of workers of their own.
import { bootOf } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { setQuery } from "../shell/url.ts";
import { Table } from "./table.ts";

const PAUSE_MS = 300; // what happens meanwhile is read together
const LATE_MS = 1500; // until what the server was still reading is asked for again

let table: Table | undefined;
let at = -1;

/** Replaces the parts of the page that the server draws anew; one that somebody is in stays. */
async function renew(root: HTMLElement): Promise<void> {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of root.querySelectorAll<HTMLElement>("[data-part]")) {
      const next = fresh.querySelector<HTMLElement>(`[data-part="${part.dataset["part"]}"]`);
      if (!next || part.contains(document.activeElement) || part.querySelector("details[open]")) continue;
      if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes);
    }
    if (root.querySelector("[data-part=none]") && fresh.querySelector("#workers-form")) location.reload();
    filter(root);
    mark(root, at);
  } catch {
    // The header says when the server is away.
  }
}

/** Asks again for figures that the server had not read yet. */
function late(root: HTMLElement, times = 4): void {
  if (times === 0 || !root.querySelector("[data-late]")) return;
  setTimeout(() => void renew(root).then(() => late(root, times - 1)), LATE_MS);
}

// The lists filter themselves while one types; the form does it without script.
function filter(root: HTMLElement): void {
  const find = root.querySelector<HTMLInputElement>("[data-filter]");
  if (!find) return;
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows(root)) row.hidden = !words.every((w) => (row.textContent ?? "").toLowerCase().includes(w));
}

const rows = (root: HTMLElement): HTMLElement[] => [...root.querySelectorAll<HTMLElement>("tr[data-href]")];

function mark(root: HTMLElement, to: number): void {
  const list = rows(root).filter((r) => !r.hidden);
  at = Math.min(to, list.length - 1);
  for (const [i, row] of list.entries()) row.classList.toggle("sel", i === at);
  if (at >= 0) list[at]!.scrollIntoView({ block: "nearest" });
}

function lists(root: HTMLElement): void {
  const find = root.querySelector<HTMLInputElement>("[data-filter]");
  if (!find) return;
  // The server filtered by what stands in the address; typing looks through all.
  let whole = find.value === "";
  find.addEventListener("input", () => {
    setQuery({ q: find.value });
    if (whole) filter(root);
    else {
      whole = true;
      const url = new URL(location.href);
      url.searchParams.delete("q");
      void fetch(url).then((r) => r.text()).then((text) => {
        const list = new DOMParser().parseFromString(text, "text/html").querySelector("[data-part=list]");
        if (list) root.querySelector("[data-part=list]")?.replaceChildren(...list.childNodes);
        filter(root);
      });
    }
  });
  find.form?.addEventListener("submit", (e) => {
    if (whole && (e as SubmitEvent).submitter === null) e.preventDefault();
  });
  root.querySelector("[data-submit]")?.addEventListener("change", () => find.form?.requestSubmit(find.form.querySelector("button")));
}

function keys(root: HTMLElement): void {
  const section = "Pools and workers";
  bind(section, "j arrowdown", "next row", () => (table ? table.move(1) : mark(root, at + 1)));
  bind(section, "k arrowup", "previous row", () => (table ? table.move(-1) : mark(root, Math.max(0, at - 1))));
  bind(section, "enter", "open the row", () => {
    if (table) table.open();
    else {
      const row = rows(root).filter((r) => !r.hidden)[at];
      if (row) location.assign(row.dataset["href"]!);
    }
  });
  if (table) {
    bind(section, "x", "choose the row, or not", () => table?.toggle());
    bind(section, "q", "quarantine what is chosen, or the row", () => table?.quarantine());
  } else if (root.querySelector("#reason")) {
    bind(section, "q", "quarantine this worker", () => root.querySelector<HTMLElement>("#reason")?.focus());
  }
}

/** The form of a pool: another provider shows its fields at once, and ctrl+s goes on. */
function definition(root: HTMLElement): void {
  const form = root.querySelector<HTMLFormElement>("form#config");
  if (!form) return;
  const show = form.querySelector<HTMLButtonElement>("#show-provider");
  form.querySelector("#provider")?.addEventListener("change", () => show?.click());
  addEventListener("keydown", (e) => {
    if (!(e.ctrlKey || e.metaKey) || e.key !== "s") return;
    e.preventDefault();
    form.querySelector<HTMLButtonElement>("#save:enabled, #review-button:enabled")?.click();
  });
  (form.querySelector<HTMLElement>("#review #save:enabled") ?? form.querySelector<HTMLElement>('[aria-invalid="true"]'))?.focus();
}

// The editor keeps the text area's value, which the form sends.
async function editor(area: HTMLTextAreaElement): Promise<void> {
  const { edit } = await import("../editor/editor.ts");
  await edit(area, { language: "yaml", label: "Config of the pool", plain: false, onChange: () => undefined, onCursor: () => undefined });
}

export function start(root: HTMLElement): void {
  const data = bootOf<{ pool?: string } | null>().data;
  const form = root.querySelector<HTMLFormElement>("#workers-form");
  if (form && data?.pool) {
    table = new Table(form, data.pool);
    void table.load();
  }
  lists(root);
  late(root);
  keys(root);
  definition(root);
  const area = root.querySelector<HTMLTextAreaElement>("textarea[data-editor]:not([readonly])");
  if (area?.offsetParent) void editor(area);
  let soon: ReturnType<typeof setTimeout> | undefined;
  onMessages((list) => {
    if (!list.some((m) => m.kind === "pool" || m.kind === "reset")) return;
    soon ??= setTimeout(() => {
      soon = undefined;
      void renew(root);
      void table?.load();
    }, PAUSE_MS);
  });
}
