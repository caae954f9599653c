// The editor of a client or a role: what saving would change is shown while one types, scopes that the visitor cannot
// give are told before anything is sent, and the text outlives a session that ends or a tab that is closed.
import { bootOf } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { blocked, compareLists, lines } from "./scopes.ts";

interface Data {
  before: string[];
  description: string;
  held: string[];
  mine: string[];
  named: string;
}

function line(tag: "ins" | "del", sign: string, label: string, text: string): HTMLElement {
  const out = document.createElement(tag);
  const mark = document.createElement("span");
  mark.className = "sign";
  mark.textContent = sign;
  mark.setAttribute("aria-label", label);
  const code = document.createElement("code");
  code.textContent = text;
  out.append(mark, code);
  return out;
}

function element(tag: string, className: string, text: string): HTMLElement {
  const out = document.createElement(tag);
  out.className = className;
  out.textContent = text;
  return out;
}

const MOST = 200; // lines of a difference that are shown

export function start(root: HTMLElement): void {
  const form = root.querySelector<HTMLFormElement>("#editor");
  const text = root.querySelector<HTMLTextAreaElement>("#scopes-text");
  const box = root.querySelector<HTMLElement>("#live-diff");
  const save = root.querySelector<HTMLButtonElement>("#save");
  if (!form || !text || !box || !save) return;
  const data = bootOf().data as Data;
  const forbidden = root.querySelector(".decide .lack") !== null;
  const about = form.querySelector<HTMLTextAreaElement>("[name=description]");

  const show = (): void => {
    const { added, removed } = compareLists(data.before, lines(text.value));
    const lacking = blocked(added, data.held, data.mine);
    box.replaceChildren();
    const delta = element("div", "delta", "");
    for (const s of removed.slice(0, MOST)) delta.append(line("del", "−", "removed", s));
    for (const s of added.slice(0, MOST)) delta.append(line("ins", "+", "added", s));
    if (added.length + removed.length > 0) {
      box.append(element("p", "small muted", `Scopes: ${added.length} added, ${removed.length} removed`), delta);
    }
    if (lacking.length > 0) {
      const notice = element("div", "notice danger", "");
      notice.id = "blocked-now";
      notice.append(element("p", "", `You do not hold ${lacking.slice(0, 5).join(", ")}${lacking.length > 5 ? " and more" : ""}, so you cannot give ${lacking.length > 1 ? "them" : "it"}.`));
      box.append(notice);
    }
    save.disabled = forbidden || lacking.length > 0;
  };
  text.addEventListener("input", show);
  show();

  let asked = false;
  let dirty = false;
  form.addEventListener("input", () => (dirty = true));
  form.addEventListener("submit", () => (asked = true));
  addEventListener("beforeunload", (e) => {
    if (dirty && !asked) e.preventDefault();
  });
  form.addEventListener("keydown", (e) => {
    if (e.key === "s" && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      form.querySelector<HTMLButtonElement>("[value=review]")!.click();
    }
  });
  bind("Editor", "e", "edit", () => (about ?? text).focus());
}
