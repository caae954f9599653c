import { render } from "preact";
import { useState } from "preact/hooks";
import { signal } from "@preact/signals";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
  at: string;
  request: string;
  more: More | undefined;
  stays: number; // milliseconds
}

/** What one can do about a message: go somewhere, or take it back. */
export interface More {
  text: string;
  href?: string;
  run?: () => void;
}

let answered = "";

/** Keeps the id of the request whose answer was an error last: a message that follows at once is about it. */
export function refusedBy(request: string): void {
  answered = request;
  setTimeout(() => (answered = ""), 0);
}

const shown = signal<Toast[]>([]);
let last = 0;

/** Shows a short message; a bad one stays longer. */
export function toast(text: string, bad = false, more?: More): void {
  const id = ++last;
  const stays = bad || more ? 15_000 : 5_000;
  shown.value = [...shown.value.filter((t) => t.text !== text).slice(-3), { id, text, bad, at: new Date().toISOString(), request: bad ? answered : "", more, stays }];
  leaveSoon(id, stays);
}

const leaving = new Map<number, ReturnType<typeof setTimeout>>();

function leaveSoon(id: number, after: number): void {
  stay(id);
  leaving.set(id, setTimeout(() => drop(id), after));
}

// A message at which somebody points, or in which the keyboard is, stays.
function stay(id: number): void {
  clearTimeout(leaving.get(id));
  leaving.delete(id);
}

function drop(id: number): void {
  stay(id);
  shown.value = shown.value.filter((t) => t.id !== id);
}

// Whoever reports an error has what the message was, where, when, and which request it answered.
function Details({ t }: { t: Toast }) {
  const text = [t.text, `Page: ${location.href}`, `Time: ${t.at}`, ...(t.request ? [`Request: ${t.request}`] : []), `Browser: ${navigator.userAgent}`].join("\n");
  const [said, say] = useState("Copy details");
  if (!("clipboard" in navigator)) return null; // on a page that is not from https
  const copy = () => void navigator.clipboard.writeText(text).then(() => say("Copied"), () => say("Not allowed"));
  return <button type="button" class="button quiet small" data-details={text} onClick={copy}>{said}</button>;
}

function Toasts() {
  return (
    <>
      {shown.value.map((t) => {
        const [head, ...rest] = t.text.replaceAll("```", "").split("\n");
        return (
          <div
            key={t.id} class={"toast" + (t.bad ? " bad" : "")}
            onPointerEnter={() => stay(t.id)} onPointerLeave={() => leaveSoon(t.id, t.stays)} onFocusIn={() => stay(t.id)} onFocusOut={() => leaveSoon(t.id, t.stays)}
            onKeyDown={(e) => {
              if (e.key !== "Escape") return;
              e.stopPropagation();
              drop(t.id);
            }}
          >
            <div class="grow">
              {head}
              {rest.length > 0 && <pre>{rest.join("\n").trim()}</pre>}
            </div>
            {t.more?.href && <a class="button quiet small" href={t.more.href}>{t.more.text}</a>}
            {t.more?.run && (
              <button type="button" class="button quiet small" data-toast-run onClick={() => { drop(t.id); t.more!.run!(); }}>{t.more.text}</button>
            )}
            {t.bad && <Details t={t} />}
            <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => drop(t.id)}>
              ×
            </button>
          </div>
        );
      })}
    </>
  );
}

export function mountToasts(): void {
  const box = document.createElement("div");
  box.className = "toasts";
  box.setAttribute("role", "status");
  box.setAttribute("aria-live", "polite");
  document.body.append(box);
  render(<Toasts />, box);
}
