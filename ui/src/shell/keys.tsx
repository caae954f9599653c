// Keys. The help dialog is made from the same table as the bindings, so it cannot lie.
import { render } from "preact";
import { bootOf } from "./data.ts";
import { Icon } from "./look.tsx";

interface Binding {
  section: string;
  keys: string[]; // any of them; "g p" is one key after the other
  what: string;
  run: (event: KeyboardEvent) => void;
}

const table: Binding[] = [];

/** Binds keys, as in "j n" for either and "g>p" for a sequence, to a deed. */
export function bind(section: string, keys: string, what: string, run: Binding["run"]): void {
  table.push({ section, keys: keys.split(" "), what, run });
}

const SEQUENCE_MS = 1500;
let first = "";
let firstAt = 0;

const typing = (t: EventTarget | null): boolean =>
  t instanceof HTMLElement && (t.isContentEditable || t.matches("input, textarea, select"));

// name writes a key as the table has it; shift counts only where the key does not already show it.
function name(e: KeyboardEvent): string {
  const key = e.key === " " ? "space" : e.key.length === 1 ? e.key : e.key.toLowerCase();
  return e.shiftKey && key.length > 1 ? "shift+" + key : key;
}

// off reports whether somebody has switched a key off, which WCAG 2.1.4 wants for single letters.
function off(key: string): boolean {
  const { keys } = bootOf().settings;
  return keys.includes(key) || (keys.includes("*") && key.length === 1);
}

export function listen(): void {
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.altKey) {
      // In fields too: these write nothing. Only what a page binds is taken from the browser.
      const combination = `ctrl+${e.shiftKey ? "shift+" : ""}${e.key.toLowerCase()}`;
      const hit = table.find((b) => b.keys.includes(combination));
      const writes = typing(e.target) && e.key === "Backspace";
      if (hit && !writes && (combination === "ctrl+k" || !document.querySelector("dialog[open]"))) {
        e.preventDefault();
        hit.run(e);
      }
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.key === "Escape" && typing(e.target)) {
      (e.target as HTMLElement).blur();
      return;
    }
    if (typing(e.target) || document.querySelector("dialog[open]")) return;
    const key = name(e);
    if (off(key)) return;
    if ((key === "enter" || key === "space") && e.target instanceof HTMLElement && e.target.matches("a, button, summary")) return;
    const sequence = first !== "" && e.timeStamp - firstAt < SEQUENCE_MS ? `${first}>${key}` : "";
    const hit = table.find((b) => sequence !== "" && b.keys.includes(sequence)) ?? table.find((b) => b.keys.includes(key));
    first = "";
    if (hit) {
      e.preventDefault();
      hit.run(e);
    } else if (table.some((b) => b.keys.some((k) => k.startsWith(key + ">")))) {
      first = key;
      firstAt = e.timeStamp;
    }
  });
}

const SHOWN: Record<string, string> = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", enter: "↵", escape: "esc" };

function Keys({ close }: { close: () => void }) {
  const sections = [...new Set(table.map((b) => b.section))];
  return (
    <>
      <header>
        <h2>Keys</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <div class="keys">
        {sections.map((s) => (
          <section key={s}>
            <h3>{s}</h3>
            <dl>
              {table.filter((b) => b.section === s).map((b) => (
                <>
                  <dt>
                    {b.keys.map((k, i) => (
                      <>
                        {i > 0 && " "}
                        {k.split(">").map((part) => <kbd>{SHOWN[part] ?? part}</kbd>)}
                      </>
                    ))}
                  </dt>
                  <dd>{b.what}</dd>
                </>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </>
  );
}

let dialog: HTMLDialogElement | undefined;

export function toggleHelp(): void {
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-label", "Keys");
    dialog.addEventListener("click", (e) => {
      if (e.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (e) => {
      if (e.key !== "?") return;
      e.stopPropagation(); // to the page, which would open it again
      dialog?.close();
    });
    document.body.append(dialog);
  }
  if (dialog.open) dialog.close();
  else {
    render(<Keys close={() => dialog?.close()} />, dialog);
    dialog.showModal();
  }
}

/** What the page's keys do, for the palette. */
export const commands = (): { keys: string[]; what: string; run: () => void }[] =>
  table
    .filter((b) => b.section !== "Everywhere")
    .map(({ keys, what, run }) => ({ keys, what, run: () => run(new KeyboardEvent("keydown", { key: keys[0]! })) }));

/** The bindings, for tests. */
export const bindings = (): { keys: string[]; what: string }[] => table.map(({ keys, what }) => ({ keys, what }));
