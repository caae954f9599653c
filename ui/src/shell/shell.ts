// What every page has: keys, theme, the live mark, menus that close.
import { bootOf } from "./data.ts";
import { bind, listen, toggleHelp } from "./keys.tsx";
import { connect, showLiveness } from "./live.ts";
import { absolute, appointment, now, relative, setZone, tick } from "./time.ts";
import { mountToasts, toast } from "./toast.tsx";
import { watchTrees } from "../trees/mark.ts";
import { remember } from "./visited.ts";
import { watchSession } from "./whose.ts";

const THEMES = ["system", "light", "dark"];

function theme(): void {
  const form = document.querySelector<HTMLFormElement>(".theme-form");
  form?.addEventListener("submit", (e) => {
    e.preventDefault();
    const next = THEMES[(THEMES.indexOf(form.dataset["now"] ?? "system") + 1) % THEMES.length]!;
    form.dataset["now"] = next;
    if (next === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = next;
    // The server reads it, so that the first paint of the next page is right.
    document.cookie = `treeline_theme=${next};path=/;max-age=31536000;samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
    form.querySelector("button")!.setAttribute("aria-label", `Theme: ${next}`);
  });
}

function menus(): void {
  addEventListener("click", (e) => {
    for (const open of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
      if (!open.contains(e.target as Node)) open.open = false;
    }
  });
}

// Times that the server wrote keep moving.
function times(): void {
  now.subscribe((to) => {
    for (const t of document.querySelectorAll<HTMLTimeElement>("time[data-rel]")) {
      const at = Date.parse(t.dateTime);
      const text = relative(at, to);
      if (t.textContent !== text) t.textContent = text;
      if (!t.title) t.title = absolute(at);
    }
    for (const t of document.querySelectorAll<HTMLTimeElement>("time[data-local]:not([title])")) {
      t.title = t.innerText; // as the server wrote it, in UTC
      t.innerText = appointment(Date.parse(t.dateTime));
    }
  });
}

// What scrolls sideways can be reached by keyboard.
function reachable(): void {
  const look = () => {
    for (const box of document.querySelectorAll<HTMLElement>(".table-box, pre.code")) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
      else if (box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", look);
  look();
}

// Buttons that copy what the server wrote for them.
function copies(): void {
  for (const b of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    b.hidden = !("clipboard" in navigator);
    b.addEventListener("click", () => void navigator.clipboard.writeText(b.dataset["copy"]!).then(() => toast("Copied.")));
  }
}

export function start(): void {
  setZone(bootOf().settings.zone);
  tick();
  mountToasts();
  theme();
  menus();
  times();
  reachable();
  bind("Everywhere", "?", "this help", toggleHelp);
  bind("Everywhere", "/", "search", () => {
    const box = document.querySelector<HTMLInputElement>("[data-find]") ?? document.querySelector<HTMLInputElement>("#search");
    box?.focus();
    box?.select();
  });
  bind("Everywhere", "ctrl+k", "go to, do or find anything", () => void import("./palette.tsx").then((p) => p.toggle()));
  for (const a of document.querySelectorAll<HTMLAnchorElement>("a[data-go]")) {
    bind("Everywhere", `g>${a.dataset["go"]}`, a.querySelector(".name")!.textContent!, () => location.assign(a.getAttribute("href")!));
  }
  bind("Everywhere", "escape", "close what is open", () => {
    const open = document.querySelector<HTMLDetailsElement>("details.menu[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary")!.focus();
    } else dispatchEvent(new CustomEvent("treeline:escape"));
  });
  document.getElementById("help")?.addEventListener("click", toggleHelp);
  listen();
  watchTrees();
  watchSession();
  showLiveness();
  connect();
  copies();
  remember();
}
